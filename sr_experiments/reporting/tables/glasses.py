"""``table=glasses``: the tables of "glasses or no glasses" (Schiavone, 2021) with ours beside them.

The paper's figures are of one run each, on Kaggle's pictures; ours are means over the runs that
are given, on whatever these were trained on.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sr_experiments.reporting.classification.page import CLASSIFICATION
from sr_experiments.reporting.tables.table import PAGE_ONLY, Column, Row, Table
from sr_experiments.reporting.tables.trained import FinishedRun, find_kind

KAGGLE = "glasses"  # the paper's data, as an option of ``data``
FACES = (KAGGLE, "gan_faces")


@dataclass(frozen=True)
class Published:
    """A row of the paper.

    Attributes:
        study: Name of the sweep or experiment that repeats it (``run_name``).
        row: What is varied.
        key: Where ``config.yaml`` says it; None where it does not matter.
        value: What it is then.
        val_accuracy: On the validation pictures.
        test_accuracy: "Accuracy evaluation" of the trained models.
        loss: Likewise.
        seconds: Of training.
    """

    study: str
    row: str
    key: tuple[str, str] | None = None
    value: int | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    loss: float | None = None
    seconds: float | None = None


PAPER = (
    *(
        Published("glasses_resolution", f"{size}x{size}", ("data", "size"), size, accuracy)
        for size, accuracy in ((32, 0.8611), (64, 0.8733), (128, 0.8444))
    ),
    *(
        Published(
            "glasses_batch", f"batch {size}", ("data", "batch_size"), size, accuracy, seconds=time
        )
        for size, accuracy, time in ((32, 0.895, 33.4), (64, 0.899, 40.0), (128, 0.887, 34.4))
    ),
    Published("glasses-untuned", "untuned", test_accuracy=0.887, loss=0.388),
    Published("glasses_architecture", "tuned architecture", test_accuracy=0.867, loss=0.320),
    Published("glasses_learning_rate", "tuned learning rate", test_accuracy=0.869, loss=0.318),
)
SEARCHES = ("glasses_architecture", "glasses_learning_rate")  # of these the best trial counts
TITLES = {
    "glasses_resolution": "resolution, 20 epochs",
    "glasses_batch": "batch size",
    "glasses-untuned": "models",
    "glasses_architecture": "models",
    "glasses_learning_rate": "models",
}


class Run(FinishedRun):
    """Of a classifier."""

    @property
    def study(self) -> str:
        """``run_name``."""
        return str(self.config.get("run_name"))

    @property
    def data(self) -> str:
        """Option of ``data``."""
        return str(self.summary["stages"][-1]["data"])

    def alike(self) -> str:
        """Equal for runs that differ in seed and fold only."""
        kept = json.loads(json.dumps(dict(self.config)))
        kept.pop("seed", None)
        for key in ("seed", "fold"):
            kept.get("data", {}).pop(key, None)
        return json.dumps(kept, sort_keys=True)


def find_classifiers(folders: Sequence[str]) -> list[Run]:
    """Finished runs of classifiers below folders.

    Raises:
        UserError: A folder is not there.
    """
    return [Run(*found) for found in find_kind(folders, CLASSIFICATION)]


def beside_paper(folder: Path) -> Table | None:
    """The part of the table that a sweep belongs to.

    Args:
        folder: Of a sweep. Runs of the paper's other rows of the same table are looked for beside
            it, so that the sweep of a model stands beside the models that are there already.

    Returns:
        None where no job of the sweep tells faces with glasses from those without.
    """
    found = find_classifiers([str(folder)])
    if not any(run.data in FACES for run in found):
        return None
    titles = {TITLES[run.study] for run in found if run.study in TITLES}
    studies = {study for study, title in TITLES.items() if title in titles}
    beside = [str(folder.parent / name) for name in sorted(studies - {folder.name})]
    others = find_classifiers([name for name in beside if Path(name).is_dir()])
    published = [row for row in PAPER if row.study in studies]
    return glasses_table([*found, *(run for run in others if run.study in studies)], published)


def glasses_table(runs: Sequence[Run], published_rows: Sequence[Published] = PAPER) -> Table:
    """The paper's rows, each with the runs that repeat it, and all other runs below.

    Args:
        runs: As `find_classifiers` gives them; none at all shows the paper alone.
        published_rows: Rows of the paper to show.
    """
    groups: dict[str, list[Row]] = {}
    used: list[Run] = []
    for published in published_rows:
        fitting = [run for run in runs if _fits(run, published)]
        used += fitting
        title = TITLES[published.study]
        by_data: dict[str, list[Run]] = _by_data(fitting) or {"": []}
        groups.setdefault(title, []).extend(
            _row(title, published.row, data, chosen(fitting), published)
            for data, fitting in by_data.items()
        )
    others: dict[str, list[Run]] = {}
    for run in runs:
        if run not in used:
            others.setdefault(run.alike(), []).append(run)
    groups["other runs"] = [
        _row("other runs", _name(found), found[0].data, found, None) for found in others.values()
    ]
    return Table(
        name="glasses",
        title="Glasses or no glasses",
        about="The paper's tables, one run on Kaggle's pictures each, and ours beside them.",
        columns=_columns(),
        groups=[rows for rows in groups.values() if rows],
        notes=list(_notes(runs)),
        sortable=False,
    )


def _fits(run: Run, published: Published) -> bool:
    if run.study != published.study:
        return False
    if published.key is None:
        return True
    group, key = published.key
    return bool(run.config.get(group, {}).get(key) == published.value)


def _by_data(runs: Sequence[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.data, []).append(run)
    return found


def chosen(runs: Sequence[Run]) -> Sequence[Run]:
    """All runs; of a search, the trial with the least validation loss."""
    if runs and runs[0].study in SEARCHES:
        return [min(runs, key=lambda run: float(run.summary["scores"]["val"]["loss"]))]
    return runs


def _name(runs: Sequence[Run]) -> str:
    first = runs[0]
    folds = first.config.get("data", {}).get("folds")
    return first.study + (f", {folds} folds" if folds else "")


def _row(
    study: str, name: str, data: str, runs: Sequence[Run], published: Published | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"study": study, "row": name, "data": data or None}
    if published is not None:
        row |= {
            "paper_val": published.val_accuracy,
            "paper_test": published.test_accuracy,
            "paper_loss": published.loss,
            "paper_seconds": published.seconds,
        }
    if not runs:
        return row
    row["runs"] = len(runs)
    for key, part, metric in (
        ("val", "val", "accuracy"),
        ("test", "test", "accuracy"),
        ("balanced", "test", "balanced_accuracy"),
        ("auroc", "test", "auroc"),
        ("f1", "test", "f1"),
        ("calibration", "test", "calibration_error"),
        ("loss", "test", "loss"),
    ):
        values = [float(run.summary["scores"][part][metric]) for run in runs]
        row[key] = fmean(values)
        if len(values) > 1:
            row[f"{key}_spread"] = stdev(values)
    row["seconds"] = fmean(float(run.summary["train"]["seconds"]) for run in runs)
    return row


def _columns() -> list[Column]:
    return [
        Column("study", "study", room=180),
        Column("row", "row"),
        Column("paper_val", "paper: validation", ".4f"),
        Column("val", "ours: validation", ".4f", help="accuracy on the validation pictures"),
        Column(
            "val_spread", "+-", ".4f", help="sample standard deviation of the value to the left"
        ),
        Column("paper_test", "paper: test", ".3f"),
        Column("test", "ours: test", ".3f", help="accuracy on the test pictures"),
        Column("test_spread", "+-", ".3f", room=PAGE_ONLY),
        Column("balanced", "balanced", ".3f", help="mean of the classes' shares found, test"),
        Column("balanced_spread", "+-", ".3f"),
        Column("auroc", "AUROC", ".3f", room=130, help="test"),
        Column("auroc_spread", "+-", ".3f", room=PAGE_ONLY),
        Column("f1", "F1", ".3f", room=PAGE_ONLY, help="of glasses, test"),
        Column("f1_spread", "+-", ".3f", room=PAGE_ONLY),
        Column("calibration", "calibration", ".3f", room=PAGE_ONLY, help="error, test"),
        Column("calibration_spread", "+-", ".3f", room=PAGE_ONLY),
        Column("paper_loss", "paper: loss", ".3f", room=110),
        Column("loss", "ours: loss", ".3f", room=110, help="on the test pictures"),
        Column("loss_spread", "+-", ".3f", room=PAGE_ONLY),
        Column("paper_seconds", "paper: s", ".1f", room=140),
        Column("seconds", "ours: s", ".1f", room=140, help="of training, on this CPU"),
        Column("runs", "runs", "d", room=150),
        Column("data", "our data", room=120),
    ]


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "The paper says neither which pictures test nor the network's sizes and rates; ours are "
        "in conf/model/glasses_cnn.yaml and conf/scheduler/exponential.yaml."
    )
    strangers = sorted({run.data for run in runs if run.data != KAGGLE})
    if strangers:
        yield (
            f"Ours on {', '.join(strangers)}: other pictures than Kaggle's, which the paper's "
            "figures are of, so the columns do not compare."
        )
    if not any(run.data == KAGGLE for run in runs):
        yield (
            "Not repeated on Kaggle's pictures: they need an account there; data=glasses reads "
            "them as they are."
        )
    if any(run.study in SEARCHES for run in runs):
        yield "Of a random search, the trial with the least validation loss stands in the row."
