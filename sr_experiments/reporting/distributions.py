"""Histograms of a network's weights and of what its layers make, with the quantiser's ranges.

A range that is much wider than what a layer makes wastes levels; one that is narrower cuts values
off. Both are seen at once where the histogram and the range are drawn over one axis.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_experiments.functional.pixels import to_float
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv, Graph
from sr_experiments.quantization.layer_noise import computing, covered
from sr_experiments.quantization.params import WEIGHT_MAX

if TYPE_CHECKING:
    from PIL.Image import Image

BINS = 64
ROWS = 24  # layers drawn in one picture
WEIGHTS, ACTIVATIONS, RANGES = "weights", "activations", "ranges"
BARS, ENDS = "#3b7dd8", "#d9822b"


@dataclass(frozen=True)
class Distribution:
    """One tensor.

    Attributes:
        name: ``weights/<layer>`` or ``activations/<layer>``.
        counts: Values in each bin, ``(BINS,)``.
        edges: Of the bins, ``(BINS + 1,)``, from the lowest value to the highest.
        range: Lowest and highest number that the quantiser can say; None without one. Of kernels
            with a scale for each channel, those of the widest channel.
    """

    name: str
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    range: tuple[float, float] | None = None

    @classmethod
    def of(cls, name: str, values: Tensor, ends: tuple[float, float] | None = None) -> Distribution:
        """Count values of any shape; those that are not finite are left out."""
        flat = values.detach().double().cpu().flatten().numpy()
        counts, edges = np.histogram(flat[np.isfinite(flat)], bins=BINS)
        return cls(name, counts, edges, ends)

    @property
    def ends(self) -> dict[str, float]:
        """The range as two metrics."""
        if self.range is None:
            return {}
        names = (f"{RANGES}/{self.name}/low", f"{RANGES}/{self.name}/high")
        return dict(zip(names, self.range, strict=True))


@torch.no_grad()
def of_quantized(quantized: QuantizedGraph, pictures: Sequence[Tensor]) -> list[Distribution]:
    """Kernels and outputs of every layer of a network on its grid.

    Args:
        quantized: Its kernels are those of the live network.
        pictures: What the layers see, each (3, H, W) uint8.
    """
    made = []
    for node in computing(quantized):
        if isinstance(node, Conv):
            rounding = quantized.graph[node.name]
            assert isinstance(rounding, Conv)
            largest = float(quantized.kernel(rounding).scales.max()) * WEIGHT_MAX
            name = f"{WEIGHTS}/{node.name}"
            made.append(Distribution.of(name, node.kernel()[0], (-largest, largest)))
    outputs = _outputs(quantized.floating, {node.name for node in computing(quantized)}, pictures)
    for name, values in outputs:
        ends = covered(quantized.activations[name])
        made.append(Distribution.of(f"{ACTIVATIONS}/{name}", values, ends))
    return made


@torch.no_grad()
def _outputs(
    graph: Graph, names: set[str], pictures: Sequence[Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """What each named layer makes of all pictures, in floating point, one value after the other."""
    seen: dict[str, list[Tensor]] = {}
    device = next(node.kernel()[0].device for node in graph.nodes if isinstance(node, Conv))
    for picture in pictures:
        for node, values in graph.values(to_float(picture)[None].to(device)):
            if node.name in names:
                seen.setdefault(node.name, []).append(values.flatten().cpu())
    for name, parts in seen.items():
        yield name, torch.cat(parts)


def of_network(network: nn.Module) -> list[Distribution]:
    """Kernels and matrices of a network that is not quantised; biases and gains are left out."""
    return [
        Distribution.of(f"{WEIGHTS}/{name.removesuffix('.weight')}", value)
        for name, value in network.named_parameters()
        if value.dim() > 1
    ]


def draw(distributions: Sequence[Distribution]) -> Image:
    """Histograms above each other, weights at the left, activations at the right, ranges shaded."""
    from matplotlib.figure import Figure
    from PIL import Image as Images

    columns = [
        [item for item in distributions if item.name.startswith(kind)][:ROWS]
        for kind in (WEIGHTS, ACTIVATIONS)
    ]
    columns = [column for column in columns if column]
    rows = max(len(column) for column in columns)
    figure = Figure(figsize=(4.6 * len(columns), 1.1 * rows + 0.4), dpi=80, layout="constrained")
    for place, column in enumerate(columns):
        for row, item in enumerate(column):
            axes = figure.add_subplot(rows, len(columns), row * len(columns) + place + 1)
            axes.stairs(item.counts, item.edges, fill=True, color=BARS, linewidth=1)
            axes.set_yscale("log")
            axes.set_yticks([])
            axes.set_ylim(bottom=0.5)
            axes.set_title(item.name, fontsize=8, loc="left", pad=2)
            axes.tick_params(labelsize=7)
            if item.range is not None:
                axes.axvspan(*item.range, color=ENDS, alpha=0.15, linewidth=0)
                for end in item.range:
                    axes.axvline(end, color=ENDS, linewidth=1.2)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return Images.open(out).convert("RGB")
