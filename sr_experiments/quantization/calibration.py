"""The range of each group of tensors that share a scale: known beforehand, or measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from sr_experiments.quantization.graph import Binary, Conv, Graph
from sr_experiments.quantization.params import UNIT, QParams
from sr_experiments.quantization.ranges import Observer, Watcher
from sr_experiments.quantization.sharing import MOVERS, given_levels

Range = tuple[float, float]


def fixed_ranges(
    graph: Graph, groups: Mapping[str, str], *, fixed_output: bool = False
) -> dict[str, QParams]:
    """Groups whose levels are known without looking: the picture, sigmoid, a clipped output.

    Args:
        graph: What is quantised.
        groups: Group of every node.
        fixed_output: The output has the levels of a picture even where the network does not
            clip it.
    """
    given = ((groups[node.name], given_levels(node)) for node in graph.nodes)
    fixed = {group: levels for group, levels in given if levels is not None}
    group = groups[graph.output]
    sources = [
        node for node in graph.nodes if groups[node.name] == group and not isinstance(node, MOVERS)
    ]
    if fixed_output:
        fixed.setdefault(group, UNIT)
    elif len(sources) == 1 and isinstance(sources[0], Conv | Binary):
        low, high = sources[0].bounds.low, sources[0].bounds.top
        if low is not None and high is not None:
            fixed.setdefault(group, QParams.of_range(low, high))
    return fixed


@torch.no_grad()
def measured_ranges(
    graph: Graph,
    groups: Mapping[str, str],
    fixed: Collection[str],
    observer: Observer,
    calibration: Tensor,
) -> dict[str, Range]:
    """Lowest and highest value worth covering of every other group, in floating point.

    Args:
        graph: What is quantised.
        groups: Group of every node.
        fixed: Groups to leave out.
        observer: The rule.
        calibration: ``(N, 3, H, W)`` low-resolution images in [0, 1].
    """
    watchers: dict[str, Watcher] = {}
    for image in calibration:
        for node, values in graph.values(image[None]):
            group = groups[node.name]
            if group not in fixed and not isinstance(node, MOVERS):
                watchers.setdefault(group, observer.watch()).see(values)
    return {group: watcher.range() for group, watcher in watchers.items()}


def covering_a_picture(measured: Range) -> Range:
    """A linear output's range: at least [0, 1], whether or not images had black and white."""
    low, high = measured
    return min(low, 0.0), max(high, 1.0)
