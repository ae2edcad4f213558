"""Which tensors must have the same scale, and where a change of scale must be put in.

Operators that only move values (concatenation, depth-to-space, padding, reordering, clips) copy
int8 levels as they are, so everything they join has one scale.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from sr_experiments.quantization.graph import (
    MOVERS,
    Concat,
    Conv,
    Function,
    Graph,
    Input,
    Node,
    Unary,
)
from sr_experiments.quantization.params import UNIT, QParams

__all__ = ["MOVERS", "given_levels", "scale_groups", "separate_input"]

# What LiteRT's specification wants of these operators' outputs.
_OF_FUNCTION: dict[Function, QParams] = {
    "sigmoid": QParams(1 / 256, -128),
    "tanh": QParams(1 / 128, 0),
}


def given_levels(node: Node) -> QParams | None:
    """Scale and zero point of a node that may not choose: the picture, sigmoid and tanh."""
    if isinstance(node, Input):
        return UNIT
    return _OF_FUNCTION.get(node.function) if isinstance(node, Unary) else None


def separate_input(graph: Graph) -> Graph:
    """Put a change of scale between the picture and what it is concatenated with.

    The picture's levels are its pixel values; features beside it need a range of their own. So do
    they beside the output of a sigmoid or tanh. The change is a 1x1 convolution by one, which
    every runtime rounds well: XNNPACK's kernel for QUANTIZE from int8 to int8 knows the ratio of
    the scales to 8 bits only.
    """
    given: dict[str, QParams | None] = {}
    changed: dict[str, Node] = {}
    for node in graph.nodes:
        mine = [given[name] for name in node.inputs]
        alike = len(set(mine)) == 1
        given[node.name] = mine[0] if isinstance(node, MOVERS) and alike else given_levels(node)
        if isinstance(node, Concat) and not alike:
            inputs = []
            for position, (name, levels) in enumerate(zip(node.inputs, mine, strict=True)):
                own = f"{node.name}.scaled{position}"
                if levels is not None:
                    changed[own] = _identity(own, name, graph[name].channels)
                inputs.append(name if levels is None else own)
            node = replace(node, inputs=tuple(inputs))
        changed[node.name] = node
    return replace(graph, nodes=tuple(changed.values()))


def scale_groups(graph: Graph) -> dict[str, str]:
    """Name of the group of every node; nodes of one group have one scale."""
    parent = {node.name: node.name for node in graph.nodes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for node in graph.nodes:
        if isinstance(node, MOVERS):
            for name in node.inputs:
                parent[root(name)] = root(node.name)
    return {node.name: root(node.name) for node in graph.nodes}


def _identity(name: str, source: str, channels: int) -> Conv:
    weight, bias = torch.ones(channels, 1, 1, 1), torch.zeros(channels)
    return Conv(
        name=name,
        inputs=(source,),
        channels=channels,
        kernel=lambda: (weight, bias),
        groups=channels,
        padding=(0, 0, 0, 0),
    )
