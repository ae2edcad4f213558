"""Peak signal-to-noise ratio of 8-bit pictures, from an exact integer sum."""

import math

import torch
from torch import Tensor

from sr_experiments.metrics.pixels import pixels_rgb, pixels_y, same_size


def psnr_rgb(prediction: Tensor, target: Tensor, border: int) -> float:
    """PSNR over all three colours of the rounded 8-bit pictures.

    Args:
        prediction: (3, H, W) in 0..255, uint8 or floating point.
        target: The same.
        border: Pixels cut off on each side; the field cuts ``scale``.

    Returns:
        dB; infinite when the pictures are equal.

    Raises:
        UserError: The sizes differ, or the border leaves nothing.

    Example:
        >>> black = torch.zeros(3, 8, 8)
        >>> round(psnr_rgb(black, black + 1, border=2), 2)
        48.13
    """
    same_size(prediction, target)
    return psnr(pixels_rgb(prediction, border), pixels_rgb(target, border))


def psnr_y(prediction: Tensor, target: Tensor, border: int) -> float:
    """PSNR of the rounded BT.601 luma (16..235, peak 255): what most papers print.

    Takes, returns and raises what ``psnr_rgb`` does.
    """
    same_size(prediction, target)
    return psnr(pixels_y(prediction, border), pixels_y(target, border))


def psnr(prediction: Tensor, target: Tensor) -> float:
    """PSNR in dB of two uint8 tensors of one shape, peak 255."""
    error = int((prediction.to(torch.int32) - target).square_().sum())
    if error == 0:
        return math.inf
    return 10 * math.log10(255**2 * target.numel() / error)
