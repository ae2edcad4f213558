"""Enlarging by MATLAB's bicubic as one convolution, so that mobile runtimes can run it.

For a whole-number scale every output pixel of the same phase uses the same 5x5 weights of low
resolution pixels: ``scale^2`` kernels (the polyphase form), then depth-to-space. The border is
MATLAB's symmetric one, hence the padding comes before the convolution, not with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.functional.padding import symmetric_pad
from sr_experiments.functional.resize import cubic
from sr_experiments.functional.shuffle import depth_to_space


def bicubic_upscale_kernel(scale: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Weights of the low-resolution pixels for each of the ``scale^2`` phases.

    Keys' cubic convolution (1981) with a = -0.5, sampled where MATLAB's ``imresize`` samples it:
    output pixel ``u`` lies at ``(u + 0.5) / scale - 0.5`` of the input.

    Args:
        scale: Whole-number factor, at least 1.
        dtype: Of the result; the weights are computed in float64.

    Returns:
        ``(scale^2, 5, 5)``, phases row by row, each summing to 1.

    Example:
        >>> bicubic_upscale_kernel(1)[0, 2]
        tensor([0., 0., 1., 0., 0.])
    """
    phase = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = torch.arange(-2, 3, dtype=torch.float64)
    weights = cubic(taps - phase[:, None])
    weights = weights / weights.sum(1, keepdim=True)
    kernel = weights[:, None, :, None] * weights[None, :, None, :]
    return kernel.reshape(scale * scale, 5, 5).to(dtype)


def bicubic_upscale(image: Tensor, scale: int) -> Tensor:
    """Enlarge by a whole number; equal to ``imresize`` of a floating-point image.

    Args:
        image: ``(N, C, H, W)`` floating point, any range; not rounded, not clipped.
        scale: Whole-number factor, at least 1.

    Returns:
        ``(N, C, scale * H, scale * W)``.
    """
    batch, channels, height, width = image.shape
    kernel = bicubic_upscale_kernel(scale, image.dtype).to(image.device)
    planes = symmetric_pad(image, 2).reshape(batch * channels, 1, height + 4, width + 4)
    enlarged = depth_to_space(F.conv2d(planes, kernel[:, None]), scale)
    return enlarged.reshape(batch, channels, scale * height, scale * width)
