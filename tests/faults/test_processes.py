"""Several processes: two on one folder, one that runs out of memory, and a sweep told to end."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from whole import check_files, outcome

from sr_experiments.reporting.run_folder import RunFolder

pytestmark = pytest.mark.slow
MISFORTUNES = Path(__file__).resolve().parents[1] / "sweeping"
WORDS = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.steps_per_epoch=12",
    "data.test=[photos:test]",
    "trainer.epochs=3",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
STRUCK = "+callbacks.struck={_target_: misfortunes.Misfortune, seed: ${seed}, "


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    places = [f"paths.output_dir={folder / 'out'}", f"paths.cache_dir={folder / 'cache'}"]
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "sr_experiments", *WORDS, *words, *places],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(MISFORTUNES), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and everything that a command says."""
    process = start(folder, *words)
    said, _ = process.communicate(timeout=1200)
    return process.returncode, said


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)


def job(folder: Path, seed: int) -> RunFolder:
    return RunFolder(folder / "out" / "multirun" / f"seed={seed}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, said = run(folder, "-m", "seed=1,2")
    assert code == 0, said
    return folder


def test_a_second_process_says_that_the_folder_is_in_use_and_trains_the_same_in_its_own(
    tmp_path: Path,
) -> None:
    first = start(tmp_path, f"{STRUCK}kind: pause, only: 1}}")
    out = tmp_path / "out" / "abpn-x3"
    wait_for(lambda: any(out.glob("*/paused")), first)
    (busy,) = out.iterdir()
    code, said = run(tmp_path, f"{STRUCK}kind: pause, only: 1}}")
    assert code == 0, said
    assert f"{busy} is being trained by another process; starting a new run" in said
    assert RunFolder(busy).status() == "running"
    (busy / "paused").unlink()
    said, _ = first.communicate(timeout=600)
    assert first.returncode == 0, said
    ours, theirs = (RunFolder(path) for path in sorted(out.iterdir()))
    assert outcome(ours) == outcome(theirs)
    assert {run.summary()["number"] for run in (ours, theirs)} == {1, 2}


def test_a_job_without_memory_is_named_and_the_rest_of_the_sweep_finishes(
    undisturbed: Path, tmp_path: Path
) -> None:
    code, said = run(tmp_path, "-m", "seed=1,2,3", f"{STRUCK}kind: limit, only: 2, epoch: 1}}")
    assert code == 1, said
    with (tmp_path / "out" / "multirun" / "summary.csv").open(newline="") as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "seed=1": "finished",
        "seed=2": "failed",
        "seed=3": "finished",
    }
    reason = rows["seed=2"]["reason"]
    assert reason.startswith("out of memory (")
    assert "lower data.batch_size or data.patch" in reason
    assert f"seed=2: {reason}" in said
    assert job(tmp_path, 2).last_checkpoint.is_file()
    check_files(tmp_path / "out")
    weights = [job(folder, 1).path / "model.safetensors" for folder in (tmp_path, undisturbed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_sweep_that_is_told_to_end_saves_the_middle_of_its_job(
    number: signal.Signals, undisturbed: Path, tmp_path: Path
) -> None:
    sweep = start(tmp_path, "-m", "seed=1,2")
    wait_for(lambda: len(job(tmp_path, 1).metrics()) > 0, sweep)
    sweep.send_signal(number)
    said, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 128 + number, said
    summary = job(tmp_path, 1).summary()
    assert summary["status"] == "interrupted"
    assert summary["reason"] == f"stopped by {number.name}"
    assert not job(tmp_path, 2).path.exists()
    lines = (tmp_path / "out" / "multirun" / "jobs.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "interrupted"
    assert "seed=1,interrupted" in (tmp_path / "out" / "multirun" / "summary.csv").read_text()
    check_files(tmp_path / "out")
    code, said = run(tmp_path, "-m", "seed=1,2")
    assert code == 0, said
    assert said.count("going on from") == 1
    for seed in (1, 2):
        assert outcome(job(tmp_path, seed)) == outcome(job(undisturbed, seed))
