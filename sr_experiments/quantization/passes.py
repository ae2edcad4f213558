"""Rewriting a traced graph into the form that runs fastest on a device, without changing it.

- A clip moves before depth-to-space and before a reordering of channels, where the convolution
  that made the values can take it over for nothing.
- Zeros around the picture become the padding of the convolutions that read it.
- A constant factor and offset (batch norm, mean shift) become part of the convolution before.
- A large depthwise convolution and the 1x1 behind it become one dense convolution.
- A reordering of channels (PyTorch's pixel shuffle is TensorFlow's depth-to-space after one)
  is pushed back into the convolutions and repetitions that made the channels. ABPN's anchor so
  becomes the input nine times in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from sr_experiments.quantization.graph import (
    OPEN,
    Affine,
    Binary,
    Bounds,
    Clip,
    Conv,
    DepthToSpace,
    Gather,
    Graph,
    Kernel,
    LeakyReLU,
    Mean,
    Node,
    Pad,
    PReLU,
    Unary,
)

NodeType = TypeVar("NodeType", bound=Node)

# Side of the largest depthwise kernel that XNNPACK has; at 9x9, 64 channels to 3, LiteRT's own is
# 10 times as slow as a dense convolution of three times the operations.
LARGEST_DEPTHWISE = 5

# Operators that treat every channel alike, or by a value that can move with it.
CHANNELWISE = (Binary, Clip, LeakyReLU, Mean, PReLU, Unary)


def optimise(graph: Graph) -> Graph:
    """Apply every pass; the result computes the same and holds no ``Affine`` any more."""
    draft = Draft(Draft(graph).finish())  # without what nobody reads
    hoist_clips(draft)
    fuse_pads(draft)
    fold_affines(draft)
    fuse_clips(draft)
    fuse_separable(draft)
    merge_gathers(draft)
    return draft.finish()


class Draft:
    """A graph that is being rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = {node.name: node for node in graph.nodes}
        self.output = graph.output
        self.scale = graph.scale

    def uses(self, name: str) -> int:
        """How often a tensor is read; being the graph's output counts."""
        reads = sum(node.inputs.count(name) for node in self.nodes.values())
        return reads + (name == self.output)

    def each(self, kind: type[NodeType]) -> Iterator[NodeType]:
        """Every node of a kind, as it is when its turn comes."""
        for name in list(self.nodes):
            node = self.nodes.get(name)
            if isinstance(node, kind):
                yield node

    def put(self, node: Node) -> None:
        """Add a node, or replace the one of the same name."""
        self.nodes[node.name] = node

    def redirect(self, old: str, new: str) -> None:
        """Let everyone who reads ``old`` read ``new``."""
        for node in list(self.nodes.values()):
            if old in node.inputs:
                inputs = tuple(new if name == old else name for name in node.inputs)
                self.put(replace(node, inputs=inputs))
        if self.output == old:
            self.output = new

    def drop(self, name: str) -> None:
        """Remove a node that passes its only input on."""
        node = self.nodes.pop(name)
        self.redirect(name, node.inputs[0])

    def finish(self) -> Graph:
        """Order the nodes so that each reads only earlier ones; what nobody reads is left out."""
        ordered: dict[str, Node] = {}

        def visit(name: str) -> None:
            if name not in ordered:
                for before in self.nodes[name].inputs:
                    visit(before)
                ordered[name] = self.nodes[name]

        visit(self.output)
        return Graph(tuple(ordered.values()), self.output, self.scale)


def hoist_clips(draft: Draft) -> None:
    """Swap every clip with the depth-to-space or reordering before it."""
    moved = True
    while moved:
        moved = False
        for node in draft.each(Clip):
            mover = draft.nodes[node.inputs[0]]
            if isinstance(mover, DepthToSpace | Gather) and draft.uses(mover.name) == 1:
                source = draft.nodes[mover.inputs[0]]
                draft.redirect(node.name, mover.name)
                draft.put(replace(node, inputs=(source.name,), channels=source.channels))
                draft.put(replace(mover, inputs=(node.name,)))
                moved = True


def fuse_pads(draft: Draft) -> None:
    """Let convolutions pad the zeros themselves."""
    for node in draft.each(Conv):
        source = draft.nodes[node.inputs[0]]
        if isinstance(source, Pad) and source.mode == "zero":
            sides = zip(node.padding, source.padding, strict=True)
            top, bottom, left, right = (own + added for own, added in sides)
            padding = top, bottom, left, right
            draft.put(replace(node, inputs=source.inputs, padding=padding))
            if not draft.uses(source.name):
                del draft.nodes[source.name]


def fold_affines(draft: Draft) -> None:
    """Make every factor and offset part of a convolution."""
    for node in draft.each(Affine):
        source = draft.nodes[node.inputs[0]]
        if isinstance(source, Conv) and source.bounds == OPEN and draft.uses(source.name) == 1:
            draft.put(replace(source, kernel=_scaled(source.kernel, node)))
            draft.drop(node.name)
        else:
            draft.put(
                Conv(
                    name=node.name,
                    inputs=node.inputs,
                    channels=node.channels,
                    kernel=_depthwise(node),
                    groups=node.channels,
                    padding=(0, 0, 0, 0),
                )
            )


def fuse_clips(draft: Draft) -> None:
    """Let convolutions and arithmetic do the clip that follows them."""
    for node in draft.each(Clip):
        source = draft.nodes[node.inputs[0]]
        if isinstance(source, Conv | Binary) and draft.uses(source.name) == 1:
            bounds = _both(source.bounds, node.bounds)
            if bounds is not None:
                draft.put(replace(source, bounds=bounds))
                draft.drop(node.name)


def fuse_separable(draft: Draft) -> None:
    """Let the 1x1 behind a depthwise convolution that is slow on a device do both."""
    for node in draft.each(Conv):
        source = draft.nodes[node.inputs[0]]
        if (
            isinstance(source, Conv)
            and source.bounds == OPEN
            and draft.uses(source.name) == 1
            and _is_large_depthwise(source)
            and node.groups == 1
            and node.kernel()[0].shape[2:] == (1, 1)
            and node.stride == 1
            and not any(node.padding)
        ):
            both = replace(
                source,
                name=node.name,
                channels=node.channels,
                kernel=_composed(source.kernel, node.kernel),
                groups=1,
                bounds=node.bounds,
            )
            draft.put(both)
            del draft.nodes[source.name]


def merge_gathers(draft: Draft) -> None:
    """Push reorderings of channels back until a convolution or a repetition swallows them."""
    for node in draft.each(Gather):
        if _absorbs(draft, node.inputs[0], node.channels):
            draft.redirect(node.name, _reordered(draft, node.inputs[0], node.index))
            del draft.nodes[node.name]
    for node in draft.each(Gather):
        if node.index == tuple(range(draft.nodes[node.inputs[0]].channels)):
            draft.drop(node.name)


def _absorbs(draft: Draft, name: str, channels: int) -> bool:
    """Whether another choice of this tensor's channels, ``channels`` of them, costs nothing."""
    node = draft.nodes[name]
    if isinstance(node, Gather):
        return True
    if draft.uses(name) != 1 or channels > node.channels:
        return False
    if isinstance(node, Conv):
        return node.groups == 1
    if isinstance(node, CHANNELWISE):
        return all(_absorbs(draft, before, channels) for before in node.inputs)
    return False


def _reordered(draft: Draft, name: str, index: tuple[int, ...]) -> str:
    """Give the name of a tensor whose channels are those of ``name`` in the order of ``index``."""
    node = draft.nodes[name]
    if isinstance(node, Gather):
        composed = tuple(node.index[channel] for channel in index)
        new = _unused(draft, f"{name}_order") if draft.uses(name) != 1 else name
        draft.put(replace(node, name=new, index=composed, channels=len(index)))
        return new
    changed: Node
    if isinstance(node, Conv):
        changed = replace(node, kernel=_picked(node.kernel, index))
    else:
        inputs = tuple(_reordered(draft, before, index) for before in node.inputs)
        changed = replace(node, inputs=inputs)
        if isinstance(changed, PReLU):
            changed = replace(changed, slope=_picked_slope(changed.slope, index))
    draft.put(replace(changed, channels=len(index)))
    return name


def _unused(draft: Draft, name: str) -> str:
    while name in draft.nodes:
        name += "_"
    return name


def _both(first: Bounds, second: Bounds) -> Bounds | None:
    """One clip that does two; None where a learned bound makes that unknown."""
    if first == OPEN:
        return second
    lows = [bounds.low for bounds in (first, second) if bounds.low is not None]
    highs: list[float] = []
    for high in (first.high, second.high):
        if callable(high):
            return None
        if high is not None:
            highs.append(high)
    return Bounds(max(lows, default=None), min(highs, default=None))


def _is_large_depthwise(conv: Conv) -> bool:
    weight = conv.kernel()[0]
    large = max(weight.shape[2:]) > LARGEST_DEPTHWISE
    return large and conv.groups == weight.shape[0] and weight.shape[1] == 1


def _composed(depthwise: Kernel, across: Kernel) -> Kernel:
    """The dense kernel of a depthwise convolution and the 1x1 behind it."""

    def composed() -> tuple[Tensor, Tensor]:
        (inner, inner_bias), (outer, bias) = depthwise(), across()
        mixed = outer.flatten(1)
        return outer * inner.transpose(0, 1), bias + mixed @ inner_bias.to(mixed)

    return composed


def _scaled(kernel: Kernel, affine: Affine) -> Kernel:
    def scaled() -> tuple[Tensor, Tensor]:
        weight, bias = kernel()
        factor, offset = affine.factor().to(weight), affine.offset().to(weight)
        return weight * factor.view(-1, 1, 1, 1), bias * factor + offset

    return scaled


def _depthwise(affine: Affine) -> Kernel:
    return lambda: (affine.factor().view(-1, 1, 1, 1), affine.offset())


def _picked(kernel: Kernel, index: tuple[int, ...]) -> Kernel:
    order = torch.tensor(index)

    def picked() -> tuple[Tensor, Tensor]:
        weight, bias = kernel()
        on_device = order.to(weight.device)
        return weight[on_device], bias[on_device]

    return picked


def _picked_slope(slope: Callable[[], Tensor], index: tuple[int, ...]) -> Callable[[], Tensor]:
    return lambda: slope()[list(index)]
