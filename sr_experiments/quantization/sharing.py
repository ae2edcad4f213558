"""Which tensors must have the same scale, and where a change of scale must be put in.

Operators that only move values (concatenation, depth-to-space, padding, reordering, clips) copy
int8 levels as they are, so everything they join has one scale.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from sr_experiments.quantization.graph import (
    Clip,
    Concat,
    Conv,
    DepthToSpace,
    Gather,
    Graph,
    Input,
    Node,
    SymmetricPad,
)

MOVERS = (Clip, Concat, DepthToSpace, Gather, SymmetricPad)


def separate_input(graph: Graph) -> Graph:
    """Put a change of scale between the picture and what it is concatenated with.

    The picture's levels are its pixel values; features beside it need a range of their own. The
    change is a 1x1 convolution by one, which every runtime rounds well: XNNPACK's kernel for
    QUANTIZE from int8 to int8 knows the ratio of the scales to 8 bits only.
    """
    pictures: set[str] = set()
    changed: dict[str, Node] = {}
    for node in graph.nodes:
        mine = [name in pictures for name in node.inputs]
        if isinstance(node, Input) or (isinstance(node, MOVERS) and all(mine)):
            pictures.add(node.name)
        elif isinstance(node, Concat) and any(mine):
            inputs = []
            for position, (name, picture) in enumerate(zip(node.inputs, mine, strict=True)):
                if picture:
                    channels = graph[name].channels
                    own = f"{node.name}.scaled{position}"
                    changed[own] = _identity(own, name, channels)
                inputs.append(own if picture else name)
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
