"""Symmetric padding: the border mirrored with its edge pixel repeated, which torch lacks."""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_pad(x: Tensor, pad: int) -> Tensor:
    """Mirror ``pad`` pixels on every side; the edge pixel itself is repeated (``cba|abc|cba``).

    This is MATLAB's ``'symmetric'`` and TensorFlow's ``SYMMETRIC``; torch's ``reflect`` leaves
    the edge pixel out. An image smaller than ``pad`` is mirrored as often as it takes.

    Args:
        x: ``(..., H, W)``.
        pad: Pixels added on each of the four sides.

    Returns:
        ``(..., H + 2 * pad, W + 2 * pad)``.

    Example:
        >>> symmetric_pad(torch.tensor([[1, 2, 3]]), 2)[0]
        tensor([2, 1, 1, 2, 3, 3, 2])
    """
    rows = _mirrored(x.shape[-2], pad, x.device)
    columns = _mirrored(x.shape[-1], pad, x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def _mirrored(size: int, pad: int, device: torch.device) -> Tensor:
    index = torch.arange(-pad, size + pad, device=device) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)
