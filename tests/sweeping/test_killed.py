"""A real sweep with a job that fails, killed half-way and started again."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from sr_experiments.reporting.run_folder import RunFolder

HERE = Path(__file__).resolve().parent
STRUCK = "_target_: misfortunes.Misfortune, seed: ${seed}"


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    """Two epochs of two steps for each of four seeds; the second fails, the third is struck once.

    What strikes it strikes the whole sweep.
    """
    words = [
        "seed=1,2,3,4",
        "model=abpn",
        "model.channels=4",
        "model.num_blocks=1",
        "data.batch_size=2",
        "data.steps_per_epoch=2",
        "data.test=[photos:test]",
        "quantization=none",
        "trainer.epochs=2",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        f"+callbacks.loose={{{STRUCK}, kind: raise, only: 2}}",
        f"+callbacks.power={{{STRUCK}, kind: kill, only: 3, epoch: 1, once: '{folder / 'off'}'}}",
        f"paths.output_dir={folder / 'out'}",
        f"paths.cache_dir={folder / 'cache'}",
    ]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, "-m", "sr_experiments", "-m", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_nothing_is_done_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    assert start(tmp_path).returncode == -signal.SIGKILL
    jobs = {seed: RunFolder(tmp_path / "out" / "multirun" / f"seed={seed}") for seed in range(1, 5)}
    assert [job.status() for job in jobs.values()] == ["finished", "failed", "running", None]
    first = (jobs[1].path / "model.safetensors").stat().st_mtime_ns

    again = start(tmp_path)
    assert again.returncode == 1
    assert "1 of 4 jobs failed" in again.stderr
    assert [job.status() for job in jobs.values()] == ["finished", "failed", *["finished"] * 2]
    lines = [
        json.loads(line) for line in (jobs[1].path.parent / "jobs.jsonl").read_text().splitlines()
    ]
    starts = list(dict.fromkeys(line["start"] for line in lines))
    trained = [
        [line["job"] for line in lines if (line["start"], line["event"]) == (name, "started")]
        for name in starts
    ]
    assert trained == [["seed=1", "seed=2", "seed=3"], ["seed=2", "seed=3", "seed=4"]]
    assert (jobs[1].path / "model.safetensors").stat().st_mtime_ns == first
    # The killed one goes on after its first epoch, and has every epoch once.
    assert again.stdout.count("going on from") == 1
    for seed in (1, 3, 4):
        assert [row["epoch"] for row in jobs[seed].metrics()] == ["0", "1"]
        assert jobs[seed].summary()["train"]["steps"] == 4

    with (tmp_path / "out" / "multirun" / "summary.csv").open(newline="") as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == [f"seed={seed}" for seed in range(1, 5)]
    assert rows["seed=2"]["reason"] == "a wire came loose"
    best = max((seed for seed in (1, 3, 4)), key=lambda seed: score(jobs[seed]))
    assert next(iter(rows)) == f"seed={best}"
    page = (tmp_path / "out" / "multirun" / "summary.html").read_text()
    assert "a wire came loose" in page
    assert "4 runs, 3 finished" in page


def score(job: RunFolder) -> float:
    return float(job.summary()["test"]["photos"]["fp32"]["psnr_y"])
