"""Heat maps of distances, their profiles, and the pictures of the best and worst batches."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sr_experiments.studies.analysis import PhaseProfile

__all__ = ["batch_sheet", "heat_maps", "profile_plot"]

COLOURS = ("#3b7dd8", "#d9822b", "#3f9d5a", "#8d5bb5")
ROW = 25  # pictures side by side
SHOWN = 50  # pictures of a batch
GAP = 2  # pixels between them
LABELS = 6  # at most so many epochs are named at a heat map


def heat_maps(
    distances: Tensor, phases: Sequence[PhaseProfile], title: str, ends: tuple[str, str]
) -> bytes:
    """A heat map for each phase, as in the paper's figures: light is a short distance.

    Args:
        distances: (epochs, batches).
        phases: Of the training.
        title: What the pictures are sorted by.
        ends: What the first and the last pictures are.

    Returns:
        A PNG.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 1.4 + 1.7 * len(phases)), layout="constrained")
    canvas.suptitle(
        "Distance of each mini-batch's gradient to the full gradient\n"
        f"pictures sorted by {title}; light is close, dark is far",
        fontsize=11,
    )
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
        axes.set_title(f"phase {phase.phase}", fontsize=9, loc="left")
        axes.set_ylabel("epoch")
        step = math.ceil(len(part) / LABELS)
        axes.set_yticks(range(first, last + 1, step))
        canvas.colorbar(image, ax=axes, pad=0.01, label="distance")
    axes.set_xlabel(_batches(ends))
    return _png(canvas)


def profile_plot(phases: Sequence[PhaseProfile], title: str, ends: tuple[str, str]) -> bytes:
    """Relative distance of each batch, one line per phase; a PNG."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 3.2), layout="constrained")
    axes = canvas.subplots()
    for index, phase in enumerate(phases):
        label = f"phase {phase.phase}, epochs {phase.epochs[0]} to {phase.epochs[1]}"
        places = np.arange(1, len(phase.relative) + 1)
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(places, phase.relative, ".-", lw=0.8, ms=4, color=colour, label=label)
    axes.axhline(1, color="#888", linewidth=0.8)
    axes.set_title(f"pictures sorted by {title}", fontsize=11)
    axes.set_xlabel(_batches(ends))
    axes.set_ylabel("distance / mean of the epoch")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return _png(canvas)


def batch_sheet(pictures: Tensor) -> bytes:
    """The first pictures of a batch, in rows; a PNG.

    Args:
        pictures: (n, 3, H, W) uint8.
    """
    from PIL import Image

    shown = pictures[:SHOWN].permute(0, 2, 3, 1).numpy()
    count, height, width, _ = shown.shape
    rows, columns = math.ceil(count / ROW), min(count, ROW)
    pitch = (height + GAP, width + GAP)
    sheet = np.full((rows * pitch[0] - GAP, columns * pitch[1] - GAP, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(shown):
        top, left = (index // ROW) * pitch[0], (index % ROW) * pitch[1]
        sheet[top : top + height, left : left + width] = picture
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "png")
    return out.getvalue()


def _batches(ends: tuple[str, str]) -> str:
    return f"mini-batch (1: {ends[0]}; last: {ends[1]})"


def _png(canvas: Any) -> bytes:
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()
