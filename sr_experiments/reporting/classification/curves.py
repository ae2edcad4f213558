"""Loss and accuracy by epoch: of one run, or of several in one figure.

Figure 10 of the glasses paper is the untuned model over 100 epochs, figure 11 its three models over
30. Ours show the loss beside the accuracy, because it is the loss that tells over-fitting first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sr_experiments.errors import UserError
from sr_experiments.reporting.classification.page import best_epoch
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.glasses import PAPER, Run, chosen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#3b7dd8", "#d9822b", "#2e9e5b")
TITLES = {published.study: published.row for published in PAPER if published.test_accuracy}
OVERFITTING = "glasses-overfitting"
PAPER_LOSS = 0.409  # "around", of the validation pictures until the 100th epoch


@dataclass(frozen=True)
class Curve:
    """A run's rows.

    Attributes:
        label: What it is called.
        rows: Of ``metrics.csv``.
        best: Epoch, from 0, of the network that was kept.
    """

    label: str
    rows: Sequence[Mapping[str, str]]
    best: int | None


def overfitting_figure(runs: Sequence[Run]) -> "Figure":
    """Figure 10: training goes on where validation has nothing to gain.

    Raises:
        UserError: There is no such run.
    """
    found = [run for run in runs if run.study == OVERFITTING]
    if len(found) != 1:
        raise UserError(
            f"figure=glasses_10 shows one run of experiment=glasses/overfitting; runs= has "
            f"{len(found)} that are finished"
        )
    canvas = draw([_curve(found[0], found[0].study)])
    loss, accuracy = canvas.axes
    loss.axhline(PAPER_LOSS, color="#888", linewidth=0.8, linestyle="--")
    loss.annotate(
        f"paper, validation: {PAPER_LOSS}",
        (0.98, PAPER_LOSS),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color="#666",
        fontsize=8,
    )
    accuracy.set_ylim(top=1.02)
    canvas.suptitle(f"Over-fitting, {found[0].data}", fontsize=10)
    return canvas


def models_figure(runs: Sequence[Run]) -> "Figure":
    """Figure 11: the untuned model and the best trial of each search, all in one.

    Raises:
        UserError: Fewer than two of the three models are there.
    """
    curves = []
    data = set()
    for study, title in TITLES.items():
        found = chosen([run for run in runs if run.study == study])
        if found:
            curves.append(_curve(found[0], title))
            data.add(found[0].data)
    if len(curves) < 2:
        wanted = "experiment=glasses/untuned, sweep=glasses_architecture and "
        raise UserError(
            f"figure=glasses_11 compares {wanted}sweep=glasses_learning_rate; runs= has "
            f"{len(curves)} of them finished"
        )
    canvas = draw(curves)
    canvas.suptitle(f"The models, {', '.join(sorted(data))}", fontsize=10)
    return canvas


def _curve(run: Run, label: str) -> Curve:
    folder = RunFolder(run.path)
    return Curve(label, folder.metrics(), best_epoch(folder))


def draw(curves: Sequence[Curve]) -> "Figure":
    """Loss on the left, accuracy on the right.

    One curve has a colour for each part; of several each has its own, its training dashed. Dots:
    the epoch whose network is kept.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, key in zip(canvas.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for place, curve in enumerate(curves):
            epochs = [int(row["epoch"]) + 1 for row in curve.rows]
            for part in ("train", "val"):
                values = [float(row[f"{part}/{key}"]) for row in curve.rows]
                alone = len(curves) == 1
                axes.plot(
                    epochs,
                    values,
                    color=COLOURS[part == "val" if alone else place % len(COLOURS)],
                    linestyle="-" if alone or part == "val" else "--",
                    linewidth=1.0 if part == "train" and not alone else 1.5,
                    label=part if alone else f"{curve.label}, {part}",
                )
                if part == "val" and curve.best is not None:
                    axes.plot(
                        epochs[curve.best],
                        values[curve.best],
                        "o",
                        markersize=5,
                        color=COLOURS[1 if alone else place % len(COLOURS)],
                    )
        axes.set_ylabel(key)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
        if key == "accuracy" or len(curves) == 1:
            axes.legend(frameon=False, fontsize=8)
    return canvas
