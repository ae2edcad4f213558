"""Operators of the graph that compute: convolutions, arithmetic, activations, means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Callable[[], tuple[Tensor, Tensor]]
"""Gives weight ``(O, I / groups, KH, KW)`` and bias ``(O,)`` as they are now."""

Reach = tuple[int, int]
"""Pixels that are read before and after a pixel, the larger of both axes."""

POOLED = Fraction(0)
"""Enlargement of a tensor of one pixel, whatever the size of the picture."""


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

    def enlarged(self, factor: Fraction) -> Fraction:
        """How many times larger than the picture the output is, given that of the inputs."""
        return factor

    def reads(self, wanted: Reach) -> Reach:
        """What is read of the inputs to make what is wanted of the output."""
        return wanted


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
        dilation: Of both axes.
        padding: Zeros at top, bottom, left, right.
        bounds: What the output is clipped to (a fused ReLU is ``Bounds(0.0)``).
    """

    kernel: Kernel
    groups: int = 1
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int, int, int]
    bounds: Bounds = OPEN

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Convolve with a given kernel, without the clip."""
        weight, bias = weight.to(x), bias.to(x)  # constant kernels live on the CPU
        top, bottom, left, right = self.padding
        if top == bottom and left == right:
            pad = (top, left)
            return F.conv2d(x, weight, bias, self.stride, pad, self.dilation, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)

    def run(self, *inputs: Tensor) -> Tensor:
        """Convolve with the live kernel and clip."""
        return self.bounds.apply(self.convolve(inputs[0], *self.kernel()))

    def enlarged(self, factor: Fraction) -> Fraction:
        """The stride shrinks."""
        return factor / self.stride

    def reads(self, wanted: Reach) -> Reach:
        """The kernel around every wanted pixel."""
        before, after = (side * self.stride for side in wanted)
        top, _, left, _ = self.padding
        height, width = ((side - 1) * self.dilation for side in self.kernel()[0].shape[2:])
        return before + max(top, left), after + max(height - top, width - left)


@dataclass(frozen=True, kw_only=True)
class Binary(Node):
    """Arithmetic on two tensors, then a clip; one may have a single pixel, which is repeated."""

    bounds: Bounds = OPEN

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """The result without the clip."""
        raise NotImplementedError

    def run(self, *inputs: Tensor) -> Tensor:
        """Combine and clip."""
        return self.bounds.apply(self.combine(*inputs))


@dataclass(frozen=True, kw_only=True)
class Add(Binary):
    """Sum of two tensors, then a clip."""

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """Add."""
        return x + y


@dataclass(frozen=True, kw_only=True)
class Sub(Binary):
    """The first tensor less the second, then a clip."""

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """Subtract."""
        return x - y


@dataclass(frozen=True, kw_only=True)
class Mul(Binary):
    """Product of two tensors, pixel by pixel, then a clip."""

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply."""
        return x * y


@dataclass(frozen=True, kw_only=True)
class PReLU(Node):
    """Negative values times a learned slope; ``slope`` gives ``(C,)``."""

    slope: Callable[[], Tensor]

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply the live slope."""
        return F.prelu(inputs[0], self.slope())


@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Node):
    """Negative values times one slope for all channels; ``slope`` gives a scalar."""

    slope: Callable[[], Tensor]

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply the live slope."""
        return F.prelu(inputs[0], self.slope().to(inputs[0]).view(1))


Function = Literal["elu", "gelu", "sigmoid", "sqrt", "tanh"]

_FUNCTIONS: dict[Function, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}


@dataclass(frozen=True, kw_only=True)
class Unary(Node):
    """A curve that every value goes through, in INT8 a table of 256 entries."""

    function: Function

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        return _FUNCTIONS[self.function](inputs[0])


@dataclass(frozen=True, kw_only=True)
class Mean(Node):
    """Mean of each channel over the whole picture: one pixel."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Average over height and width."""
        return inputs[0].mean((2, 3), keepdim=True)

    def enlarged(self, factor: Fraction) -> Fraction:
        """One pixel."""
        return POOLED


@dataclass(frozen=True, kw_only=True)
class Requantize(Node):
    """A change of levels, and of how many bits they have; values stay."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Pass the values on."""
        return inputs[0]


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
