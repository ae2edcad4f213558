import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.tables.render import deliver
from sr_experiments.reporting.tables.sweep import sweep_table


def job(folder: Path, name: str, **summary: Any) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "summary.json").write_text(json.dumps(summary))


def scores(fp32: float, int8: float) -> dict[str, Any]:
    values = {"bicubic": 28.4, "fp32": fp32, "int8": int8}
    return {"photos": {kind: {"psnr_y": value} for kind, value in values.items()}}


def test_jobs_stand_from_the_best_int8_file_down_and_unfinished_ones_last(tmp_path: Path) -> None:
    job(tmp_path, "seed=1", status="finished", test=scores(30.0, 29.0), int8_drop=1.0)
    job(tmp_path, "seed=2", status="finished", test=scores(29.9, 29.8), tflite_bytes=36864)
    job(tmp_path, "seed=3", status="failed", reason="the loss term mse became nan")
    table = sweep_table(tmp_path)
    assert [row["job"] for row in table.rows] == ["seed=2", "seed=1", "seed=3"]
    assert table.rows[0]["kib"] == 36
    assert table.rows[2]["reason"] == "the loss term mse became nan"
    assert "3 runs" in table.about
    assert "2 finished" in table.about


def test_other_tasks_are_sorted_by_what_they_measured(tmp_path: Path) -> None:
    job(tmp_path, "a", status="finished", test={"accuracy": 0.8, "loss": 0.4})
    job(tmp_path, "b", status="finished", test={"accuracy": 0.9, "loss": 0.5})
    assert [row["job"] for row in sweep_table(tmp_path).rows] == ["b", "a"]


def test_the_files_hold_every_job_and_names_cannot_become_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, "run_name=<b>x", status="finished", test=scores(30.0, 29.0))
    deliver(sweep_table(tmp_path), "python -m sr_experiments -m seed=1,2", tmp_path)
    assert "written" in capsys.readouterr().out
    with (tmp_path / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["job"] == "run_name=<b>x"
    assert float(row["test photos INT8"]) == 29.0
    page = (tmp_path / "summary.html").read_text()
    assert "<b>x" not in page
    assert "seed=1,2" in page


def test_a_folder_without_jobs_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no job in it"):
        sweep_table(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        sweep_table(tmp_path / "gone")
