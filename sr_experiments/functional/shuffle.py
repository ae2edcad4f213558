"""Depth-to-space in the channel order of TensorFlow and ONNX, and the way there from PyTorch's.

Both operators lay ``block^2`` channels out as a square of pixels; they differ in which channel
goes where. PyTorch's ``pixel_shuffle`` wants ``colour * block^2 + row * block + column``,
TensorFlow's ``depth_to_space`` (ONNX mode ``DCR``) wants
``(row * block + column) * colours + colour``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Lay channels out as squares of ``block * block`` pixels, in TensorFlow's channel order.

    Args:
        x: ``(N, block^2 * C, H, W)``; channel ``(row * block + column) * C + c`` becomes the
            pixel ``(row, column)`` of colour ``c``.
        block: Side of the square in pixels.

    Returns:
        ``(N, C, block * H, block * W)``.

    Raises:
        ValueError: If the channels are no multiple of ``block^2``.

    Example:
        >>> depth_to_space(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1), 2)[0, 0]
        tensor([[1., 2.],
                [3., 4.]])
    """
    batch, channels, height, width = x.shape
    colours, rest = divmod(channels, block * block)
    if rest:
        raise ValueError(f"{channels} channels are no multiple of block^2 = {block * block}")
    squares = x.reshape(batch, block, block, colours, height, width)
    pixels = squares.permute(0, 3, 4, 1, 5, 2)
    return pixels.reshape(batch, colours, height * block, width * block)


def pixel_shuffle_to_dcr(channels_out: int, block: int) -> Tensor:
    """Order of channels that turns a pixel shuffle into a depth-to-space.

    Args:
        channels_out: Colours after the shuffle.
        block: Side of the square in pixels.

    Returns:
        ``(channels_out * block^2,)`` int64 ``index`` with
        ``pixel_shuffle(x, block) == depth_to_space(x[:, index], block)``.

    Example:
        >>> pixel_shuffle_to_dcr(3, 2).tolist()
        [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    """
    return torch.arange(channels_out * block * block).view(channels_out, -1).t().reshape(-1)
