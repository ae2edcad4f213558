"""Operators of the graph that move values and make no new ones.

They copy int8 levels as they are, so what they read and what they make has one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.functional.padding import symmetric_pad
from sr_experiments.functional.shuffle import depth_to_space
from sr_experiments.quantization.nodes import Bounds, Node, Reach


@dataclass(frozen=True, kw_only=True)
class Clip(Node):
    """A clip that could not be fused into the operator before it."""

    bounds: Bounds

    def run(self, *inputs: Tensor) -> Tensor:
        """Clip."""
        return self.bounds.apply(inputs[0])


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Channels of all inputs, one after the other."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Concatenate."""
        return torch.cat(inputs, 1)


@dataclass(frozen=True, kw_only=True)
class Gather(Node):
    """Output channel ``c`` is input channel ``index[c]``: slices, repetition and reordering."""

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

    def enlarged(self, factor: Fraction) -> Fraction:
        """Larger by the block."""
        return factor * self.block

    def reads(self, wanted: Reach) -> Reach:
        """The squares that hold the wanted pixels."""
        before, after = wanted
        return -(-before // self.block), -(-after // self.block)


@dataclass(frozen=True, kw_only=True)
class Pad(Node):
    """Pixels added around the picture.

    Attributes:
        padding: At top, bottom, left, right.
        mode: ``zero``; ``reflect`` mirrors around the edge pixel, ``symmetric`` repeats it.
    """

    padding: tuple[int, int, int, int]
    mode: Literal["zero", "reflect", "symmetric"]

    def run(self, *inputs: Tensor) -> Tensor:
        """Pad."""
        x = inputs[0]
        top, bottom, left, right = self.padding
        if self.mode == "zero":
            return F.pad(x, (left, right, top, bottom))
        if self.mode == "reflect":
            return F.pad(x, (left, right, top, bottom), mode="reflect")
        most = max(self.padding)
        height, width = x.shape[2:]
        rows = slice(most - top, most + height + bottom)
        return symmetric_pad(x, most)[:, :, rows, most - left : most + width + right]

    def reads(self, wanted: Reach) -> Reach:
        """Everything lies ``padding`` further to the front."""
        top, _, left, _ = self.padding
        return wanted[0] + max(top, left), wanted[1] - min(top, left)


@dataclass(frozen=True, kw_only=True)
class MaxPool(Node):
    """The largest value of every square of ``size * size`` pixels.

    Attributes:
        size: Of the square.
        stride: From one square to the next; 1 keeps the picture's size, any other cuts what
            makes no whole square.
    """

    size: int
    stride: int

    def run(self, *inputs: Tensor) -> Tensor:
        """Pick the largest."""
        return F.max_pool2d(inputs[0], self.size, self.stride, self.padding)

    @property
    def padding(self) -> int:
        """Pixels beyond the border that a square may reach; they are never the largest."""
        return self.size // 2 if self.stride == 1 else 0

    def enlarged(self, factor: Fraction) -> Fraction:
        """The stride shrinks."""
        return factor / self.stride

    def reads(self, wanted: Reach) -> Reach:
        """The square of every wanted pixel."""
        before, after = (side * self.stride for side in wanted)
        return before + self.padding, after + self.size - 1 - self.padding


MOVERS = (Clip, Concat, DepthToSpace, Gather, MaxPool, Pad)
