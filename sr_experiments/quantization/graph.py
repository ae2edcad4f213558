"""The one graph that the fake-quantiser and both file writers read.

It knows only the operators that mobile NPUs run. Convolutions, slopes and learned bounds are held
as functions that read the live parameters of the network, so a graph is traced once, follows the
training, and gradients flow through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.padding import symmetric_pad
from sr_experiments.functional.shuffle import depth_to_space

Kernel = Callable[[], tuple[Tensor, Tensor]]
"""Gives weight ``(O, I / groups, KH, KW)`` and bias ``(O,)`` as they are now."""


@dataclass(frozen=True)
class Bounds:
    """Values are clipped to ``[low, high]``; None leaves that side open.

    ``high`` may be a function that gives a learned bound (a scalar tensor).
    """

    low: float | None = None
    high: float | Callable[[], Tensor] | None = None

    def apply(self, x: Tensor) -> Tensor:
        """Clip ``x``; a learned bound gets the gradient of every value above it (PACT)."""
        if self.low == 0:
            x = F.relu(x)
        elif self.low is not None:
            x = x.clamp(min=self.low)
        if callable(self.high):
            return torch.minimum(x, self.high())
        return x if self.high is None else x.clamp(max=self.high)

    @property
    def top(self) -> float | None:
        """The upper bound as it is now."""
        return float(self.high().detach()) if callable(self.high) else self.high


OPEN = Bounds()


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator and the tensor it makes.

    Attributes:
        name: Unique in its graph.
        inputs: Names of the nodes it reads.
        channels: Channels of its output.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int

    def run(self, *inputs: Tensor) -> Tensor:
        """Compute the output in floating point, NCHW in and out."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Input(Node):
    """The low-resolution picture, RGB in [0, 1]."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Pass the picture on."""
        return inputs[0]


@dataclass(frozen=True, kw_only=True)
class Conv(Node):
    """A convolution that pads zeros, then clips.

    Attributes:
        kernel: Gives weight and bias.
        groups: As in ``nn.Conv2d``.
        stride: Of both axes.
        padding: Zeros at top, bottom, left, right.
        bounds: What the output is clipped to (a fused ReLU is ``Bounds(0.0)``).
    """

    kernel: Kernel
    groups: int = 1
    stride: int = 1
    padding: tuple[int, int, int, int]
    bounds: Bounds = OPEN

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Convolve with a given kernel, without the clip."""
        weight, bias = weight.to(x), bias.to(x)  # constant kernels live on the CPU
        top, bottom, left, right = self.padding
        if top == bottom and left == right:
            return F.conv2d(x, weight, bias, self.stride, (top, left), groups=self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, self.stride, groups=self.groups)

    def run(self, *inputs: Tensor) -> Tensor:
        """Convolve with the live kernel and clip."""
        return self.bounds.apply(self.convolve(inputs[0], *self.kernel()))


@dataclass(frozen=True, kw_only=True)
class Add(Node):
    """Sum of two tensors, then a clip."""

    bounds: Bounds = OPEN

    def run(self, *inputs: Tensor) -> Tensor:
        """Add and clip."""
        return self.bounds.apply(inputs[0] + inputs[1])


@dataclass(frozen=True, kw_only=True)
class Clip(Node):
    """A clip that could not be fused into the operator before it."""

    bounds: Bounds

    def run(self, *inputs: Tensor) -> Tensor:
        """Clip."""
        return self.bounds.apply(inputs[0])


@dataclass(frozen=True, kw_only=True)
class PReLU(Node):
    """Negative values times a learned slope; ``slope`` gives ``(C,)``."""

    slope: Callable[[], Tensor]

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply the live slope."""
        return F.prelu(inputs[0], self.slope())


@dataclass(frozen=True, kw_only=True)
class Affine(Node):
    """Every channel times a factor plus an offset; each function gives ``(C,)``.

    Lives only until the passes have run: it becomes part of the convolution before it, or a
    depthwise 1x1 convolution.
    """

    factor: Callable[[], Tensor]
    offset: Callable[[], Tensor]

    def run(self, *inputs: Tensor) -> Tensor:
        """Scale and shift."""
        return inputs[0] * self.factor().view(-1, 1, 1) + self.offset().view(-1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Channels of all inputs, one after the other."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Concatenate."""
        return torch.cat(inputs, 1)


@dataclass(frozen=True, kw_only=True)
class Gather(Node):
    """Output channel ``c`` is input channel ``index[c]``: repetition and reordering."""

    index: tuple[int, ...]

    def run(self, *inputs: Tensor) -> Tensor:
        """Pick the channels."""
        return inputs[0][:, list(self.index)]


@dataclass(frozen=True, kw_only=True)
class DepthToSpace(Node):
    """Channels laid out as squares of ``block * block`` pixels, in TensorFlow's channel order."""

    block: int

    def run(self, *inputs: Tensor) -> Tensor:
        """Lay the channels out."""
        return depth_to_space(inputs[0], self.block)


@dataclass(frozen=True, kw_only=True)
class SymmetricPad(Node):
    """``pad`` pixels mirrored at each border, the edge pixel repeated."""

    pad: int

    def run(self, *inputs: Tensor) -> Tensor:
        """Pad."""
        return symmetric_pad(inputs[0], self.pad)


@dataclass(frozen=True)
class Graph:
    """A network as a list of operators.

    Attributes:
        nodes: In an order in which each reads only earlier ones; the first is the ``Input``.
        output: Name of the node whose tensor is the picture.
        scale: How many times the picture is enlarged.
    """

    nodes: tuple[Node, ...]
    output: str
    scale: int

    def __getitem__(self, name: str) -> Node:
        """Return the node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def execute(
        self, low_res: Tensor, compute: Callable[[Node, Sequence[Tensor]], Tensor]
    ) -> Iterator[tuple[Node, Tensor]]:
        """Yield every node with its tensor, made by ``compute(node, inputs)``.

        Tensors are dropped after their last use.
        """
        uses = Counter(name for node in self.nodes for name in node.inputs)
        uses[self.output] += 1
        alive: dict[str, Tensor] = {}
        for node in self.nodes:
            inputs = [alive[name] for name in node.inputs] or [low_res]
            alive[node.name] = compute(node, inputs)
            yield node, alive[node.name]
            del inputs
            for name in node.inputs:
                uses[name] -= 1
                if not uses[name]:
                    del alive[name]

    def values(self, low_res: Tensor) -> Iterator[tuple[Node, Tensor]]:
        """Yield every node with its floating-point output."""
        return self.execute(low_res, lambda node, inputs: node.run(*inputs))

    def run(self, low_res: Tensor) -> Tensor:
        """Enlarge ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, scale * H, scale * W)``."""
        return last(self.values(low_res))


def last(values: Iterator[tuple[Node, Tensor]]) -> Tensor:
    """Run an execution to its end and return the last tensor."""
    tensor = None
    for _, tensor in values:  # noqa: B007
        pass
    assert tensor is not None
    return tensor


def enlargement(graph: Graph) -> dict[str, Fraction]:
    """How many times larger than the input each tensor is, by name of its node.

    Raises:
        UserError: If tensors of different sizes are added or concatenated.
    """
    factors: dict[str, Fraction] = {}
    for node in graph.nodes:
        before = {factors[name] for name in node.inputs} or {Fraction(1)}
        if len(before) > 1:
            raise UserError(f"{node.name} joins tensors of different sizes")
        (factor,) = before
        if isinstance(node, DepthToSpace):
            factor *= node.block
        elif isinstance(node, Conv):
            factor /= node.stride
        factors[node.name] = factor
    return factors


def receptive_radius(graph: Graph) -> int:
    """Pixels of the low-resolution picture, to each side, that one of its pixels' output reads.

    A tile that overlaps its neighbours by this much gives the same picture as the whole image.
    """
    reach = {node.name: (0, 0) for node in graph.nodes}
    for node in reversed(graph.nodes):
        before, after = reach[node.name]
        if isinstance(node, Conv):
            top, _, left, _ = node.padding
            height, width = node.kernel()[0].shape[2:]
            before = before * node.stride + max(top, left)
            after = after * node.stride + max(height - 1 - top, width - 1 - left)
        elif isinstance(node, SymmetricPad):
            before, after = before + node.pad, after - node.pad
        elif isinstance(node, DepthToSpace):
            before, after = -(-before // node.block), -(-after // node.block)
        for name in node.inputs:
            known = reach[name]
            reach[name] = max(known[0], before), max(known[1], after)
    return max(reach[graph.nodes[0].name])
