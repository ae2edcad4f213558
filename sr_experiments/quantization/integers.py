"""LiteRT's INT8 arithmetic on tensors of levels, step by step as its kernels round.

Levels here count from the zero point and are not clipped yet; scales are those in the file. What
runs is XNNPACK wherever it has a kernel: with a fixed number of binary digits for sums and
slopes, in float32 for products and means. Checked against LiteRT 2.3.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sr_experiments.quantization.params import fake_slope, rescaled

SUM_DIGITS = 20  # binary digits of the larger of the two factors of a sum
SLOPE_DIGITS = 8  # binary digits behind the point of a slope


def summed(x: Tensor, y: Tensor, scales: tuple[float, float, float], sign: int = 1) -> Tensor:
    """Add two tensors of int32 levels, or with ``sign=-1`` subtract the second.

    Args:
        x: Any shape.
        y: Of a shape that broadcasts with it.
        scales: Of ``x``, of ``y`` and of the result.
        sign: Of the second.
    """
    factors = [np.float32(scale) / np.float32(scales[2]) for scale in scales[:2]]
    digits = SUM_DIGITS + 1 - math.frexp(max(factors))[1]
    one, other = (round(math.ldexp(float(factor), digits)) for factor in factors)
    return (x * one + y * (sign * other) + (1 << digits - 1)) >> digits


def multiplied(x: Tensor, y: Tensor, scales: tuple[float, float, float]) -> Tensor:
    """Multiply two tensors of int32 levels; halves are rounded to even.

    Args:
        x: Any shape.
        y: Of a shape that broadcasts with it.
        scales: Of ``x``, of ``y`` and of the result.
    """
    factor = np.float32(scales[0]) * np.float32(scales[1]) / np.float32(scales[2])
    return ((x * y).float() * float(factor)).round()


def leaky(x: Tensor, slope: float, source: float, result: float) -> Tensor:
    """Multiply negative int32 levels by a slope, and all by the ratio of the scales.

    Args:
        x: Any shape.
        slope: Of negative values.
        source: Scale of ``x``.
        result: Scale of the result.
    """
    ratio = np.float32(source) / np.float32(result)
    one = 1 << SLOPE_DIGITS
    factors = [round(float(np.float32(one) * factor)) for factor in (ratio, ratio * slope)]
    positive, negative = (x * factor for factor in factors)
    return (torch.where(x < 0, negative, positive) + (one >> 1)) >> SLOPE_DIGITS


def prelu(x: Tensor, slope: Tensor, source: float, result: float) -> Tensor:
    """Multiply negative int32 levels by the slope of their channel, rounded as the file holds it.

    Args:
        x: ``(N, C, H, W)``.
        slope: ``(C,)``.
        source: Scale of ``x``.
        result: Scale of the result.
    """
    fake, scale = fake_slope(slope)
    slopes = (fake / scale).round().view(-1, 1, 1)
    negative = rescaled(x * slopes, source * scale / result)
    return torch.where(x < 0, negative, rescaled(x, source / result))


def averaged(x: Tensor, source: float, result: float) -> Tensor:
    """Mean of int32 levels over height and width; halves are rounded to even.

    Args:
        x: ``(N, C, H, W)``.
        source: Scale of ``x``.
        result: Scale of the result.
    """
    count = x.shape[2] * x.shape[3]
    factor = np.float32(source) / np.float32(result) / np.float32(count)
    return (x.sum((2, 3), keepdim=True).float() * float(factor)).round()


def rooted(x: Tensor, source: float, result: float) -> Tensor:
    """Square root of int32 levels, rounded down.

    Args:
        x: Any shape, nowhere negative.
        source: Scale of ``x``.
        result: Scale of the result.
    """
    root = (x.float() * float(np.float32(source))).sqrt()
    return (root / float(np.float32(result))).floor()
