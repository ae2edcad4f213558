from pathlib import Path
from typing import Any

import pytest

from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.glasses import find_classifiers, glasses_table


def add(root: Path, name: str, study: str, balanced: float, loss: float = 0.5, **data: Any) -> None:
    folder = RunFolder(root / study / name)
    folder.path.mkdir(parents=True)
    folder.write_config({"run_name": study, "seed": 1, "data": data})
    score = {"accuracy": 0.8, "balanced_accuracy": balanced, "auroc": 0.9, "loss": loss}
    score |= {"f1": 0.5, "calibration_error": 0.1}
    folder.write_summary(
        {
            "status": "finished",
            "kind": "classification",
            "stages": [{"data": data.pop("option", "gan_faces")}],
            "scores": {"val": score, "test": score},
            "train": {"seconds": 12.0},
        }
    )


def test_the_papers_rows_stand_alone_where_nothing_was_run() -> None:
    table = glasses_table([])
    rows = {row["row"]: row for row in table.rows}
    assert rows["64x64"]["paper_val"] == 0.8733
    assert rows["batch 32"]["paper_seconds"] == 33.4
    assert (rows["untuned"]["paper_test"], rows["untuned"]["paper_loss"]) == (0.887, 0.388)
    assert all(row.get("test") is None for row in table.rows)
    assert any("Kaggle's pictures" in note for note in table.notes)


def test_runs_stand_beside_the_row_that_they_repeat(tmp_path: Path) -> None:
    for size, balanced in ((32, 0.6), (64, 0.7)):
        add(tmp_path, f"data.size={size}", "glasses_resolution", balanced, size=size)
    for trial, loss in ((1, 0.4), (2, 0.3), (3, 0.6)):
        add(tmp_path, f"trial={trial}", "glasses_architecture", trial / 10, loss, size=32)
    rows = {row["row"]: row for row in glasses_table(find_classifiers([str(tmp_path)])).rows}
    assert rows["64x64"]["balanced"] == 0.7
    assert rows["64x64"]["paper_val"] == 0.8733
    assert "val" not in rows["128x128"]
    assert rows["tuned architecture"]["balanced"] == 0.2  # the trial of the least loss
    assert rows["tuned architecture"]["paper_loss"] == 0.32


def test_folds_and_seeds_are_one_row_with_their_spread(tmp_path: Path) -> None:
    for fold, balanced in enumerate((0.5, 0.7, 0.9)):
        add(tmp_path, f"data.fold={fold}", "mine", balanced, size=32, folds=3, fold=fold)
    add(tmp_path, "other", "mine", 0.1, size=64, folds=3, fold=0)
    other = [row for row in glasses_table(find_classifiers([str(tmp_path)])).rows if "runs" in row]
    whole = next(row for row in other if row["runs"] == 3)
    assert whole["row"] == "mine, 3 folds"
    assert whole["balanced"] == pytest.approx(0.7)
    assert whole["balanced_spread"] == pytest.approx(0.2)
    assert len(other) == 2
