"""INT8 as LiteRT's specification has it: scales, zero points, and the rounding of kernels.

Activations are asymmetric int8 per tensor; weights symmetric int8 in [-127, 127], per output
channel or per tensor; the bias is int32 with scale = input scale x weight scale.
Source: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr_experiments.quantization.steps import stepped

QMIN, QMAX = -128, 127
WEIGHT_MAX = 127
# A bias stays below this, so that 31 bits hold it together with the products it is added to.
BIAS_MAX = 2**30


@dataclass(frozen=True)
class QParams:
    """How an int8 or int16 tensor stands for numbers: ``value = scale * (q - zero_point)``.

    Attributes:
        scale: Exactly a float32, as the file stores it.
        zero_point: In [-128, 127]; 0 of int16.
        bits: 8 or 16.
    """

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def lowest(self) -> int:
        """The lowest level."""
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        """The highest level."""
        return (1 << (self.bits - 1)) - 1

    @classmethod
    def of_range(cls, low: float, high: float, symmetric: bool = False, bits: int = 8) -> QParams:
        """Cover ``[low, high]`` widened to hold zero, which must be exact for padding.

        An empty range (a tensor that is zero everywhere) counts as [0, 1].

        Args:
            low: Lowest value.
            high: Highest value.
            symmetric: Zero is level 0: half of the levels are for values that a ReLU never has.
            bits: 8, or 16, which is symmetric.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1e-9:
            low, high = 0.0, 1.0
        if symmetric:
            highest = (1 << (bits - 1)) - 1
            return cls(float(np.float32(max(-low, high) / highest)), 0, bits)
        scale = float(np.float32((high - low) / (QMAX - QMIN)))
        zero_point = round(QMIN - low / scale)
        return cls(scale, max(QMIN, min(QMAX, zero_point)))

    def quantize(self, value: float) -> int:
        """The level nearest to a number."""
        level = round(value / self.scale) + self.zero_point
        return max(self.lowest, min(self.highest, level))

    def fake(self, x: Tensor) -> Tensor:
        """Round to the levels and clip to the range; gradients pass straight through inside it."""
        return torch.fake_quantize_per_tensor_affine(
            x, self.scale, self.zero_point, self.lowest, self.highest
        )


UNIT = QParams.of_range(0.0, 1.0)
"""A picture in [0, 1]: level -128 is 0 and every level is one of the 256 pixel values."""


@dataclass(frozen=True)
class FakeKernel:
    """A convolution's kernel on the INT8 grid, in floating point and differentiable.

    Attributes:
        weight: ``(O, I / groups, KH, KW)``, multiples of ``scales``.
        bias: ``(O,)``, multiples of input scale times ``scales``.
        scales: ``(O,)`` float32; all equal when quantised per tensor.
        bias_scales: ``(O,)`` float32.
    """

    weight: Tensor
    bias: Tensor
    scales: Tensor
    bias_scales: Tensor

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weight as int8 and bias as int32: what the file holds."""
        weight = self.weight / self.scales.view(-1, 1, 1, 1)
        bias = self.bias.double() / self.bias_scales.double()
        return weight.round().to(torch.int8), bias.round().to(torch.int32)


def fake_kernel(
    weight: Tensor,
    bias: Tensor,
    source: QParams,
    result: QParams,
    per_channel: bool,
    scales: Tensor | None = None,
) -> FakeKernel:
    """Round a kernel to what an INT8 file can hold.

    Args:
        weight: ``(O, I / groups, KH, KW)``.
        bias: ``(O,)``.
        source: Of the convolution's input.
        result: Of its output.
        per_channel: A scale for each output channel, or one for all.
        scales: ``(O,)``, positive, that clip what lies beyond 127 of them and learn where they
            need a gradient; None: as large as the largest weight asks for.
    """
    with torch.no_grad():
        # A kernel near zero still needs a scale in which its bias fits into the integers.
        least = bias.abs().clamp(min=result.scale) / (source.scale * BIAS_MAX)
        if not per_channel:
            least = least.max().expand_as(least)
        if scales is None:
            largest = weight.abs().amax((1, 2, 3)) / WEIGHT_MAX
            scales = largest if per_channel else largest.max().expand_as(largest)
    scales = torch.maximum(scales, least).float().contiguous()
    fake_weight = stepped(weight, scales, 0, -WEIGHT_MAX, WEIGHT_MAX)
    scales = scales.detach()
    bias_scales = scales * source.scale
    fake_bias = bias + (_rounded(bias.detach(), bias_scales) - bias.detach())
    return FakeKernel(fake_weight, fake_bias, scales, bias_scales)


def fake_slope(slope: Tensor) -> tuple[Tensor, float]:
    """Round PReLU's slopes to symmetric int8 with one scale, as LiteRT wants them.

    Returns:
        The rounded slopes and their scale.
    """
    scale = float(np.float32(max(float(slope.detach().abs().max()), 1e-6) / WEIGHT_MAX))
    fake = torch.fake_quantize_per_tensor_affine(slope, scale, 0, -WEIGHT_MAX, WEIGHT_MAX)
    return fake, scale


def rescaled(integers: Tensor, factor: float) -> Tensor:
    """Multiply integers by a real factor and round, as LiteRT's reference kernels do.

    They multiply by a 31-bit fraction, which rounds to the nearest ``2^-n`` (halves upwards), and
    then shift right by ``n``, which rounds once more (halves away from zero). PReLU is computed
    so; XNNPACK's kernels round once.

    Args:
        integers: Any shape, whole numbers.
        factor: ``2^-n`` is the power of two above it, at most 1.

    Returns:
        Whole numbers in float64.
    """
    fine = 2.0 ** max(0, -math.frexp(factor)[1])
    once = (integers.double() * factor * fine + 0.5).floor() / fine
    return once.sign() * (once.abs() + 0.5).floor()


def _rounded(bias: Tensor, scales: Tensor) -> Tensor:
    # In float64: an int32 has more digits than a float32.
    exact = scales.double()
    return ((bias.double() / exact).round() * exact).to(bias.dtype)
