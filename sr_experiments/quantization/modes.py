"""The modes of the configuration group ``quantization``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.quantization.fake import Ends, QuantizedGraph
from sr_experiments.quantization.graph import Add, Conv, Graph, Input
from sr_experiments.quantization.params import UNIT, QParams
from sr_experiments.quantization.ranges import Observer, Watcher, observer_of
from sr_experiments.quantization.sharing import MOVERS, scale_groups, separate_input


@dataclass(frozen=True)
class NoQuantization:
    """Floating point only: no INT8 file is made and no drop is measured."""


@dataclass(frozen=True)
class PostTraining:
    """Quantise the network as it is, with ranges measured on calibration images.

    Attributes:
        per_channel: A weight scale for each output channel; NPUs that only have one for the whole
            kernel need False.
        observer: Rule for the ranges: ``minmax``, ``moving_average``, ``percentile``, ``mse``, or
            an observer of ``ranges`` with its own settings.
        calibration_images: Low-resolution crops that the ranges are measured on.
        calibration_size: Their side in pixels.
        input_type: Of the file: ``uint8``, ``int8`` or ``float32``.
        output_type: The same for its output.
    """

    per_channel: bool = True
    observer: str | Observer = "minmax"
    calibration_images: int = 16
    calibration_size: int = 64
    input_type: Ends = "uint8"
    output_type: Ends = "uint8"

    def __post_init__(self) -> None:
        observer_of(self.observer)
        for end in ("input_type", "output_type"):
            value = getattr(self, end)
            if value not in get_args(Ends):
                raise UserError(
                    f"quantization.{end}={value} is unknown; choose {', '.join(get_args(Ends))}"
                )
        for count in ("calibration_images", "calibration_size"):
            if getattr(self, count) < 1:
                raise UserError(f"quantization.{count} must be at least 1")

    @torch.no_grad()
    def quantize(self, graph: Graph, calibration: Tensor) -> QuantizedGraph:
        """Measure the ranges and give every tensor a scale.

        The input's levels are the pixel values. An output that the network clips has exactly the
        clip's range (scale 1/255 for [0, 1], so the clip itself costs nothing); a linear one
        covers at least [0, 1], whether or not the calibration images have black and white.

        Args:
            graph: A traced network.
            calibration: ``(N, 3, H, W)`` low-resolution images in [0, 1].
        """
        graph = separate_input(graph)
        groups = scale_groups(graph)
        fixed = _fixed(graph, groups)
        watchers: dict[str, Watcher] = {}
        rule = observer_of(self.observer)
        for image in calibration:
            for node, values in graph.values(image[None]):
                group = groups[node.name]
                if group not in fixed and not isinstance(node, MOVERS):
                    watchers.setdefault(group, rule.watch()).see(values)
        measured = {group: watcher.range() for group, watcher in watchers.items()}
        picture = groups[graph.output]
        if picture in measured:
            low, high = measured[picture]
            measured[picture] = min(low, 0.0), max(high, 1.0)
        ranges = {group: QParams.of_range(*ends) for group, ends in measured.items()} | fixed
        activations = {node.name: ranges[groups[node.name]] for node in graph.nodes}
        return QuantizedGraph(
            graph, activations, self.per_channel, self.input_type, self.output_type
        )


def _fixed(graph: Graph, groups: dict[str, str]) -> dict[str, QParams]:
    """Groups whose range is known without looking: the picture, and a clipped output."""
    fixed = {groups[node.name]: UNIT for node in graph.nodes if isinstance(node, Input)}
    group = groups[graph.output]
    sources = [
        node for node in graph.nodes if groups[node.name] == group and not isinstance(node, MOVERS)
    ]
    if len(sources) == 1 and isinstance(sources[0], Conv | Add):
        low, high = sources[0].bounds.low, sources[0].bounds.top
        if low is not None and high is not None:
            fixed.setdefault(group, QParams.of_range(low, high))
    return fixed
