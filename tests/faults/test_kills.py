"""Fifty kills change no bit: the script that does it, its log, and that its eyes are sharp."""

import csv
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from kills import KINDS, LEAST
from watched.sitecustomize import PHASES
from whole import OPENERS, check_claims, check_files

from sr_experiments.reporting.run_folder import RunFolder

HERE = Path(__file__).resolve().parent
OLD = HERE.parent / "old" / "run_schema_1"
RECORD = HERE.parents[1] / "outputs" / "records" / "2026-11-21-faults"


def check_log(file: Path) -> None:
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["number"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 50
    phases = Counter(row["phase"] for row in rows)
    assert min(phases[phase] for phase in PHASES) >= LEAST
    assert {row["kind"] for row in rows} == set(KINDS)
    # Weights after as many batches are the same, whatever was killed before.
    assert len({(row["kind"], row["iteration"], row["digest"]) for row in rows}) == len(
        {(row["kind"], row["iteration"]) for row in rows}
    )


@pytest.mark.slow
def test_fifty_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    output = tmp_path / "kills"
    command = [sys.executable, str(HERE / "kills.py"), f"output={output}"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    check_log(output / "kills.csv")


@pytest.mark.parametrize("name", ["kills.csv", "kills_2.csv"])
def test_a_recorded_log_has_fifty_kills_and_every_phase(name: str) -> None:
    check_log(RECORD / name)


def test_every_half_written_file_is_noticed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(OLD, run)
    files = [path for path in run.rglob("*") if path.is_file() and path.suffix in OPENERS]
    assert {path.suffix for path in files} >= {".json", ".csv", ".safetensors", ".tflite", ".ckpt"}
    assert check_files(run) == len(files)
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(AssertionError, match=path.name):
            check_files(run)
        path.write_bytes(content)


def test_claims_that_are_not_true_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(OLD, path)
    (path / "report.html").touch()  # the kept one has none
    run = RunFolder(path)
    summary = run.summary()
    epochs, steps = len(run.metrics()), int(run.metrics()[-1]["iteration"])
    assert check_claims(run, epochs, steps)["status"] == summary["status"]
    for wrong in (
        {"status": "finished", "tflite_bytes": 7},
        {"stages": [{"steps": 1, "epochs": 1}]},
    ):
        run.write_summary(wrong)
        with pytest.raises(AssertionError):
            check_claims(run, epochs, steps)
        run.write_summary(summary)
