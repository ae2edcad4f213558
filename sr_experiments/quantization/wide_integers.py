"""LiteRT's arithmetic on int16 activations, where it differs from that on int8 (``integers``).

There is no XNNPACK here: these are the runtime's reference kernels. Levels are not clipped yet.
Checked against LiteRT 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sr_experiments.quantization.params import rescaled

FACTOR_DIGITS = 15  # binary digits of the factor that a convolution's sums are multiplied by
SPARE_DIGITS = 15  # that both operands of a sum are shifted left by


def rounded_sums(sums: Tensor, factors: Tensor) -> Tensor:
    """Levels for the sums of a convolution; halves are rounded upwards.

    Args:
        sums: ``(N, O, H, W)``, whole numbers in float64.
        factors: Of each channel, ``(O, 1, 1)``: scale of the sums over scale of the result.
    """
    fraction, exponent = torch.frexp(factors.double())
    one = 1 << FACTOR_DIGITS
    digits = (fraction * one + 0.5).floor().clamp(max=one - 1)
    return (sums * torch.ldexp(digits, exponent - FACTOR_DIGITS) + 0.5).floor()


def summed(x: Tensor, y: Tensor, scales: tuple[float, float, float], sign: int = 1) -> Tensor:
    """Add two tensors of int32 levels, or with ``sign=-1`` subtract the second.

    Args:
        x: Any shape.
        y: Of a shape that broadcasts with it.
        scales: Of ``x``, of ``y`` and of the result.
        sign: Of the second.
    """
    one, common = 1 << SPARE_DIGITS, 2 * max(scales[:2])
    first = rescaled(x.double() * one, scales[0] / common)
    second = rescaled(y.double() * one, scales[1] / common)
    return rescaled(first + sign * second, common / (one * scales[2]))


def multiplied(x: Tensor, y: Tensor, scales: tuple[float, float, float]) -> Tensor:
    """Multiply two tensors of int32 levels.

    Args:
        x: Any shape.
        y: Of a shape that broadcasts with it.
        scales: Of ``x``, of ``y`` and of the result.
    """
    return rescaled(x.double() * y, scales[0] * scales[1] / scales[2])


def leaky(x: Tensor, slope: float, source: float, result: float) -> Tensor:
    """Multiply negative int32 levels by a slope, and all by the ratio of the scales.

    Args:
        x: Any shape.
        slope: Of negative values.
        source: Scale of ``x``.
        result: Scale of the result.
    """
    ratio = source / result
    return torch.where(x < 0, rescaled(x, slope * ratio), rescaled(x, ratio))
