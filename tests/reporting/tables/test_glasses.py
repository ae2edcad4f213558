from pathlib import Path
from typing import Any

import pytest

from sr_experiments.errors import UserError
from sr_experiments.report import main
from sr_experiments.reporting.classification.curves import models_figure, overfitting_figure
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.glasses import beside_paper, find_classifiers, glasses_table


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
            "stages": [
                {"name": "training", "data": data.pop("option", "gan_faces"), "val/loss": loss}
            ],
            "scores": {"val": score, "test": score},
            "train": {"seconds": 12.0},
        }
    )


def train(root: Path, name: str, study: str, losses: list[float]) -> None:
    """A run whose validation loss took these values, and its accuracy the rest to 1."""
    add(root, name, study, 0.5, min(losses), size=32)
    for epoch, loss in enumerate(losses):
        values = {f"{part}/loss": loss for part in ("train", "val")}
        values |= {f"{part}/accuracy": 1 - loss for part in ("train", "val")}
        RunFolder(root / study / name).append_metrics(
            {"epoch": epoch, "iteration": 4 * epoch, "stage": "training", **values}
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


def test_a_sweep_ends_with_its_part_of_the_papers_table(tmp_path: Path) -> None:
    add(tmp_path, "data.size=64", "glasses_resolution", 0.7, size=64)
    add(tmp_path, "trial=1", "glasses_architecture", 0.6, size=32)
    add(tmp_path, "time", "glasses-untuned", 0.5, size=32)
    table = beside_paper(tmp_path / "glasses_resolution")
    assert table is not None
    assert [row["row"] for row in table.rows] == ["32x32", "64x64", "128x128"]
    table = beside_paper(tmp_path / "glasses_architecture")
    assert table is not None
    rows = {row["row"]: row.get("balanced") for row in table.rows}
    # The untuned model beside it stands in its row, too.
    assert rows == {"untuned": 0.5, "tuned architecture": 0.6, "tuned learning rate": None}
    add(tmp_path, "seed=1", "mine", 0.7, option="cifar10")
    assert beside_paper(tmp_path / "mine") is None


def test_the_models_are_drawn_in_one_figure_the_best_trial_of_a_search(tmp_path: Path) -> None:
    train(tmp_path, "time", "glasses-untuned", [0.6, 0.4, 0.5])
    train(tmp_path, "trial=1", "glasses_architecture", [0.7, 0.6])
    train(tmp_path, "trial=2", "glasses_architecture", [0.5, 0.3])
    loss, accuracy = models_figure(find_classifiers([str(tmp_path)])).axes
    drawn = {line.get_label(): line for line in accuracy.get_lines()}
    assert {name for name in drawn if not str(name).startswith("_")} == {
        "untuned, train",
        "untuned, val",
        "tuned architecture, train",
        "tuned architecture, val",
    }
    assert list(drawn["tuned architecture, val"].get_ydata()) == pytest.approx([0.5, 0.7])
    dots = [line for line in loss.get_lines() if line.get_marker() == "o"]
    assert [(*dot.get_xdata(), *dot.get_ydata()) for dot in dots] == [(2, 0.4), (2, 0.3)]


def test_over_fitting_is_drawn_beside_the_papers_loss(tmp_path: Path) -> None:
    train(tmp_path, "time", "glasses-overfitting", [0.6, 0.4, 0.5])
    loss, _ = overfitting_figure(find_classifiers([str(tmp_path)])).axes
    assert [0.409, 0.409] in [list(line.get_ydata()) for line in loss.get_lines()]
    main(["figure=glasses_10", f"runs={tmp_path}", f"output={tmp_path / 'out'}"])
    assert (tmp_path / "out" / "figure_glasses_10.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(UserError, match="runs= has 0 of them finished"):
        main(["figure=glasses_11", f"runs={tmp_path}", f"output={tmp_path / 'out'}"])
