"""Orthonormal discrete cosine transform (DCT-II), of whole images or block by block.

Two small matrix products: no FFT, so that it trains in any precision and on any device.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=16)
def dct_matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The transform as a matrix: ``matrix @ signal`` are the coefficients of ``signal``.

    Args:
        size: Samples of the signal.
        dtype: Of the result; computed in float64.
        device: Of the result.

    Returns:
        (size, size), orthogonal; row ``k`` is half a cosine per ``k``, row 0 the mean times
        ``sqrt(size)``.
    """
    with torch.inference_mode(False):  # what is kept must also serve under autograd
        frequency = torch.arange(size, dtype=torch.float64)[:, None]
        sample = torch.arange(size, dtype=torch.float64)
        matrix = torch.cos(math.pi / size * (sample + 0.5) * frequency) * math.sqrt(2 / size)
        matrix[0] /= math.sqrt(2)
        return matrix.to(device, dtype)


def dct2(image: Tensor, block: int | None = None) -> Tensor:
    """Two-dimensional DCT-II of the last two dimensions.

    Args:
        image: (..., H, W), floating point.
        block: Side of square blocks that are transformed each for itself, as JPEG does; None
            transforms the whole image.

    Returns:
        (..., H, W) coefficients, those of a block in its place, low frequencies top left. The
        sum of squares is that of the image.

    Raises:
        ValueError: Height or width is no multiple of ``block``.

    Example:
        >>> dct2(torch.ones(4, 4))[0]  # the mean times 4, and no other frequency
        tensor([4., 0., 0., 0.])
    """
    height, width = image.shape[-2:]
    if block is None:
        vertical = dct_matrix(height, image.dtype, image.device)
        horizontal = dct_matrix(width, image.dtype, image.device)
        return vertical @ image @ horizontal.T
    if height % block or width % block:
        raise ValueError(f"an image of {height}x{width} has no whole blocks of {block}x{block}")
    matrix = dct_matrix(block, image.dtype, image.device)
    blocks = image.reshape(*image.shape[:-2], height // block, block, width // block, block)
    coefficients = torch.einsum("ki,...aibj,lj->...akbl", matrix, blocks, matrix)
    return coefficients.reshape(image.shape)
