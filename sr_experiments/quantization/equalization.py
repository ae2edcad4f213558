"""Cross-layer equalisation (Nagel et al., 2019, arXiv:1906.04721, 4.1).

Where two convolutions follow each other with nothing but a ReLU, PReLU or leaky ReLU between, a
channel may be made smaller in the first and larger by as much in the second: the network computes
the same. Making each channel's largest weights equal in both leaves none too small for a scale
that it shares with the others. Clips with an upper bound forbid it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sr_experiments.quantization.graph import OPEN, Bounds, Conv, Graph, LeakyReLU, Node, PReLU
from sr_experiments.quantization.lockstep import with_kernel

ROUNDS = 20  # chains of layers settle within a few
HOMOGENEOUS = (OPEN, Bounds(0.0))


@torch.no_grad()
def equalized(graph: Graph) -> Graph:
    """The network with equalised kernels, equal in output; constants in training no longer.

    Args:
        graph: A traced network; it is left as it is.
    """
    nodes = {node.name: node for node in graph.nodes}
    pairs = list(_pairs(graph))
    kernels = {name: tuple(nodes[name].kernel()) for pair in pairs for name in pair}  # type: ignore[attr-defined]
    for _ in range(ROUNDS):
        for first, second in pairs:
            (weight, bias), (after, bias_after) = kernels[first], kernels[second]
            groups = _conv(nodes[second]).groups
            out, into = weight.abs().amax((1, 2, 3)), _largest_per_input(after, groups)
            factor = torch.where((out > 0) & (into > 0), (out / into).sqrt(), 1.0)
            kernels[first] = weight / factor.view(-1, 1, 1, 1), bias / factor
            kernels[second] = _times_per_input(after, factor, groups), bias_after
    for name, kernel in kernels.items():
        nodes[name] = with_kernel(_conv(nodes[name]), *kernel)
    return replace(graph, nodes=tuple(nodes[node.name] for node in graph.nodes))


def _pairs(graph: Graph) -> Iterator[tuple[str, str]]:
    """Names of convolutions that may be equalised."""
    readers: dict[str, list[Node]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for name in node.inputs:
            readers[name].append(node)
    for node in graph.nodes:
        if not isinstance(node, Conv) or node.bounds not in HOMOGENEOUS:
            continue
        source: Node = node
        while len(readers[source.name]) == 1 and source.name != graph.output:
            (reader,) = readers[source.name]
            if isinstance(reader, Conv):
                yield node.name, reader.name
            if not isinstance(reader, LeakyReLU | PReLU):
                break
            source = reader


def _conv(node: Node) -> Conv:
    assert isinstance(node, Conv)
    return node


def _largest_per_input(weight: Tensor, groups: int) -> Tensor:
    """Largest weight that reads each input channel, ``(I,)``."""
    grouped = weight.view(groups, -1, *weight.shape[1:])
    return grouped.abs().amax((1, 3, 4)).flatten()


def _times_per_input(weight: Tensor, factor: Tensor, groups: int) -> Tensor:
    """Every weight times the factor of the input channel that it reads."""
    grouped = weight.view(groups, -1, *weight.shape[1:]) * factor.view(groups, 1, -1, 1, 1)
    return grouped.view_as(weight)
