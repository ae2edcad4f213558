"""Heat maps of distances, their profiles, and the pictures of the best and worst batches."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sr_experiments.studies.analysis import PhaseProfile

__all__ = ["batch_sheet", "heat_maps", "profile_plot"]

COLOURS = ("#3b7dd8", "#d9822b", "#3f9d5a", "#8d5bb5")
SHOWN = 16  # pictures of a batch
GAP = 2  # pixels between them


def heat_maps(distances: Tensor, phases: Sequence[PhaseProfile], title: str) -> bytes:
    """A heat map for each phase, as in the paper's figures: light is a short distance.

    Args:
        distances: (epochs, batches).
        phases: Of the training.
        title: What the pictures are sorted by.

    Returns:
        A PNG.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 1.2 + 1.7 * len(phases)), layout="constrained")
    canvas.suptitle(f"Distance to the full gradient, batches by {title}")
    for axes, phase in zip(
        canvas.subplots(len(phases), 1, squeeze=False)[:, 0], phases, strict=True
    ):
        first, last = phase.epochs
        part = distances[first - 1 : last].numpy()
        image = axes.imshow(
            part,
            aspect="auto",
            cmap="YlOrRd",
            interpolation="nearest",
            extent=(0.5, part.shape[1] + 0.5, last + 0.5, first - 0.5),
        )
        axes.set_ylabel(f"epochs {first}-{last}")
        axes.yaxis.get_major_locator().set_params(integer=True)
        canvas.colorbar(image, ax=axes, pad=0.01)
    axes.set_xlabel("mini-batch, lowest metric first")
    return _png(canvas)


def profile_plot(phases: Sequence[PhaseProfile], title: str) -> bytes:
    """Relative distance of each batch, one line per phase; a PNG."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 3), layout="constrained")
    axes = canvas.subplots()
    for index, phase in enumerate(phases):
        label = f"phase {phase.phase}"
        places = np.arange(1, len(phase.relative) + 1)
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(places, phase.relative, ".-", lw=0.8, ms=4, color=colour, label=label)
    axes.axhline(1, color="#888", linewidth=0.8)
    axes.set_xlabel(f"mini-batch, lowest {title} first")
    axes.set_ylabel("distance / epoch's mean")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return _png(canvas)


def batch_sheet(pictures: Tensor) -> bytes:
    """The first pictures of a batch in a row; a PNG.

    Args:
        pictures: (n, 3, H, W) uint8.
    """
    from PIL import Image

    shown = pictures[:SHOWN].permute(0, 2, 3, 1).numpy()
    count, height, width, _ = shown.shape
    sheet = np.full((height, count * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(shown):
        sheet[:, index * (width + GAP) : index * (width + GAP) + width] = picture
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "png")
    return out.getvalue()


def _png(canvas: Any) -> bytes:
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()
