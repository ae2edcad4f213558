"""Arithmetic on convolution kernels: what re-parameterised blocks fold with.

A kernel is ``(out, in, K, K)`` with odd ``K``; the convolution it stands for has stride 1 and pads
zeros by ``K // 2``. Everything is differentiable.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.errors import UserError


def enlarge_kernel(weight: Tensor, size: int) -> Tensor:
    """The same convolution with a larger kernel: zeros all around.

    Example:
        >>> enlarge_kernel(torch.full((1, 1, 1, 1), 5.0), 3)[0, 0]
        tensor([[0., 0., 0.],
                [0., 5., 0.],
                [0., 0., 0.]])
    """
    vertical, horizontal = ((size - side) // 2 for side in weight.shape[2:])
    return F.pad(weight, (horizontal, horizontal, vertical, vertical))


def identity_kernel(channels: int, size: int, like: Tensor) -> Tensor:
    """Kernel ``(channels, channels, size, size)`` that passes every channel on.

    Args:
        channels: In and out.
        size: Odd side of the kernel.
        like: Gives device and type.
    """
    centre = torch.eye(channels, dtype=like.dtype, device=like.device)
    return enlarge_kernel(centre[:, :, None, None], size)


def compose_kernels(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """One convolution that does two, of which one is 1x1.

    Where the first is 1x1 and the second is not, the result is exact at the borders only if the
    map between them is padded with the first one's bias, which is what the first one makes of an
    input padded with zeros.

    Args:
        first: Kernel ``(M, I, K, K)`` and bias ``(M,)``.
        second: Kernel ``(O, M, L, L)`` and bias ``(O,)``; ``K`` or ``L`` is 1.

    Returns:
        Kernel ``(O, I, max(K, L), max(K, L))`` and bias ``(O,)``.

    Raises:
        UserError: If both are larger than 1x1: at the borders no single convolution does that.
    """
    (weight_1, bias_1), (weight_2, bias_2) = first, second
    if weight_2.shape[2:] == (1, 1):
        weight = torch.einsum("om,mihw->oihw", weight_2[:, :, 0, 0], weight_1)
    elif weight_1.shape[2:] == (1, 1):
        weight = torch.einsum("omhw,mi->oihw", weight_2, weight_1[:, :, 0, 0])
    else:
        raise UserError(
            f"Kernels of {tuple(weight_1.shape[2:])} and {tuple(weight_2.shape[2:])} cannot be "
            "folded exactly at the borders: one of the two must be 1x1."
        )
    return weight, weight_2.sum(dim=(2, 3)) @ bias_1 + bias_2


def spread(change: Tensor, after: Tensor | None, before: Tensor | None) -> Tensor:
    """Smallest change of a kernel between two 1x1 convolutions that changes all three by this.

    Args:
        change: ``(O, I, K, K)``, wanted of the three convolutions as one.
        after: ``(O, M, 1, 1)``, of full rank with ``M >= O``; None where there is none.
        before: ``(N, I, 1, 1)``, of full rank with ``N >= I``; None where there is none.

    Returns:
        ``(M, N, K, K)``, of the least sum of squares (Moore and Penrose's inverse).

    Raises:
        UserError: The 1x1 convolutions leave no room for it.
    """
    if after is not None:
        change = torch.einsum("mo,oihw->mihw", _inverse(after, len(change)), change)
    if before is not None:
        change = torch.einsum("mihw,in->mnhw", change, _inverse(before, change.shape[1]))
    return change


def _inverse(kernel: Tensor, rank: int) -> Tensor:
    left, strengths, right = torch.linalg.svd(kernel[:, :, 0, 0], full_matrices=False)
    weakest = strengths[-1] / strengths[0]
    if len(strengths) < rank or not weakest > len(left) * torch.finfo(kernel.dtype).eps:
        raise UserError(
            f"A 1x1 convolution from {kernel.shape[1]} to {kernel.shape[0]} channels inside a "
            "block does not let every kernel through: build the block wider."
        )
    inverse: Tensor = (right.T / strengths) @ left.T
    return inverse
