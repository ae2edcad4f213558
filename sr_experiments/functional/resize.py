"""MATLAB's ``imresize`` with its default bicubic kernel: the degradation of the whole field.

Keys (1981) with a = -0.5, stretched by the scale when shrinking (antialiasing), borders
mirrored with the edge pixel repeated. A ``uint8`` image is rounded half up and clipped
after each of the two passes, as MATLAB does, and so equals its files bit for bit.
Only the taps of each output row are gathered: no matrix of the image's size is made.
"""

import math
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["cubic", "downscale", "imresize", "upscale"]

KERNEL_WIDTH = 4  # pixels that Keys' cubic spans at scale 1


def cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, of any shape.

    Example:
        >>> cubic(torch.tensor([0.0, 0.5, 1.0, 2.0])).tolist()
        [1.0, 0.5625, 0.0, 0.0]
    """
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def _taps(
    length: int, length_out: int, scale: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Which pixels each output pixel reads, and their weights; both (taps, length_out).

    The positions are MATLAB's ``contributions``: the centre of output pixel x (from 1) lies
    at x / scale + (1 - 1 / scale) / 2 of the input.
    """
    stretch = min(scale, 1.0)
    width = KERNEL_WIDTH / stretch
    centre = torch.arange(1, length_out + 1, dtype=torch.float64) / scale
    centre += 0.5 * (1 - 1 / scale)
    taps = math.ceil(width) + 2
    positions = torch.floor(centre - width / 2) + torch.arange(taps, dtype=torch.float64)[:, None]
    weights = stretch * cubic(stretch * (centre - positions))
    weights /= weights.sum(dim=0)
    mirrored = (positions.long() - 1) % (2 * length)
    indices = torch.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    used = (weights != 0).any(dim=1)
    return indices[used].to(device), weights[used].to(device=device, dtype=dtype)


def _resize_dimension(image: Tensor, dim: int, length_out: int, scale: float) -> Tensor:
    """One pass along ``dim`` (-2 or -1) of a floating-point image."""
    indices, weights = _taps(image.shape[dim], length_out, scale, image.dtype, image.device)
    if dim == -2:
        weights = weights.unsqueeze(-1)
    out: Tensor | None = None
    for index, weight in zip(indices, weights, strict=True):
        term = image.index_select(dim, index) * weight
        out = term if out is None else out.add_(term)
    assert out is not None  # the kernel's centre tap is never zero
    return out


def _to_uint8(image: Tensor) -> Tensor:
    return image.add(0.5).floor_().clamp_(0, 255)


def imresize(
    image: Tensor,
    scale: float | Fraction | None = None,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Resize as MATLAB's ``imresize(image, scale)`` or ``imresize(image, size)``.

    Height first and then width; where ``size`` gives the two different scales, the smaller
    one first, as MATLAB.

    Args:
        image: (..., H, W), ``uint8`` in 0..255 or floating point in any range.
        scale: Factor of both dimensions; the new size is rounded up.
        size: New height and width, in place of ``scale``.

    Returns:
        (..., H', W') of the same dtype. ``uint8`` is computed in double precision and
        rounded; floating point is neither rounded nor clipped, and differentiable.

    Raises:
        ValueError: Not exactly one of ``scale`` and ``size`` is given, or one is not positive.
        TypeError: The image is neither ``uint8`` nor floating point.

    Example:
        >>> imresize(torch.tensor([[[0, 0, 255, 255]] * 2], dtype=torch.uint8), 0.5).tolist()
        [[[14, 241]]]
    """
    if (scale is None) == (size is None):
        raise ValueError("imresize takes either a scale or a size")
    height, width = image.shape[-2:]
    if scale is not None:
        if scale <= 0:
            raise ValueError(f"imresize: scale must be positive, not {scale}")
        size = math.ceil(height * scale), math.ceil(width * scale)
        scales = float(scale), float(scale)
    else:
        assert size is not None
        if min(size) < 1:
            raise ValueError(f"imresize: size must be positive, not {size}")
        scales = size[0] / height, size[1] / width
    if image.dtype == torch.uint8:
        image, rounded = image.double(), True
    elif image.dtype.is_floating_point:
        rounded = False
    else:
        raise TypeError(f"imresize takes uint8 or floating point, not {image.dtype}")
    for dim in sorted((-2, -1), key=lambda dim: scales[dim]):
        image = _resize_dimension(image, dim, size[dim], scales[dim])
        image = _to_uint8(image) if rounded else image
    return image.to(torch.uint8) if rounded else image


def downscale(high_res: Tensor, scale: int) -> Tensor:
    """The field's low-resolution image: (..., H, W) to (..., ceil(H / scale), ceil(W / scale))."""
    return imresize(high_res, Fraction(1, scale))


def upscale(low_res: Tensor, scale: int) -> Tensor:
    """The field's bicubic baseline: (..., H, W) to (..., H * scale, W * scale)."""
    return imresize(low_res, scale)
