"""Rewriting layers as one ordinary convolution that gives the same output.

Everything here is differentiable, so that training can run on the folded kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.errors import UserError


def fold_batch_norm(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    gain: Tensor | None,
    shift: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm (its running statistics) into the convolution before it.

    Args:
        weight: ``(O, I, K, K)`` kernel of the convolution.
        bias: ``(O,)`` or None.
        mean: ``(O,)`` running mean of the norm.
        variance: ``(O,)`` running variance.
        gain: ``(O,)`` the norm's weight, None where it has none.
        shift: ``(O,)`` the norm's bias, None where it has none.
        eps: Added to the variance before the root.

    Returns:
        Kernel and bias of the convolution that does both.
    """
    factor = torch.rsqrt(variance + eps)
    if gain is not None:
        factor = factor * gain
    offset = -mean if bias is None else bias - mean
    folded = offset * factor
    if shift is not None:
        folded = folded + shift
    return weight * factor.view(-1, 1, 1, 1), folded


def transposed_conv_as_conv(
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    output_padding: int,
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Turn a transposed convolution into an ordinary one followed by depth-to-space.

    Output pixel ``stride * Y + r`` of a transposed convolution sees input pixel ``Y + t`` through
    tap ``k = r + padding - stride * t``. Each of the ``stride^2`` phases ``r`` thus is an ordinary
    convolution of its own, with a kernel about ``stride`` times smaller. The new convolution has
    stride 1 and pads zeros: ``(K - 1) // 2`` before and the rest of ``K - 1`` after on each axis,
    which is what both TensorFlow's and torch's ``padding="same"`` do. Borders are equal too.

    Args:
        weight: ``(I, O, KH, KW)`` as ``nn.ConvTranspose2d`` keeps it, no groups.
        bias: ``(O,)`` or None.
        stride: Of both axes; the factor by which the layer enlarges.
        padding: Of both axes.
        output_padding: Of both axes.

    Returns:
        Kernel ``(stride^2 * O, I, KH', KW')`` with its outputs in the order that
        :func:`~sr_experiments.functional.shuffle.depth_to_space` wants, bias ``(stride^2 * O,)``,
        and ``(KH', KW')``.

    Raises:
        UserError: If the layer does not enlarge by exactly ``stride``.
    """
    channels_in, channels_out = weight.shape[:2]
    taps = []
    for size in weight.shape[2:]:
        if size + output_padding != stride + 2 * padding:
            raise UserError(
                f"a transposed convolution with kernel {size}, stride {stride}, padding {padding} "
                f"and output_padding {output_padding} does not enlarge by exactly {stride}; "
                "choose kernel + output_padding = stride + 2 * padding"
            )
        taps.append(_taps(size, stride, padding).to(weight.device))
    rows, columns = taps
    # One row and one column of zeros for the taps that fall outside the old kernel.
    padded = F.pad(weight, (0, 1, 0, 1))
    phases = padded[:, :, rows[:, :, None, None], columns[None, None]]  # I, O, r, KH', c, KW'
    height, width = rows.shape[1], columns.shape[1]
    kernel = phases.permute(2, 4, 1, 0, 3, 5)
    kernel = kernel.reshape(stride * stride * channels_out, channels_in, height, width)
    if bias is None:
        bias = weight.new_zeros(channels_out)
    return kernel, bias.repeat(stride * stride), (height, width)


def _taps(size: int, stride: int, padding: int) -> Tensor:
    """``(stride, K')``: the old tap behind each new one; ``size`` where there is none."""
    first = min(-((size - 1 - r - padding) // stride) for r in range(stride))
    last = max((r + padding) // stride for r in range(stride))
    # Zeros come (K' - 1) // 2 before and K' // 2 after; both must reach far enough.
    new_size = max(-2 * first + 1, 2 * last, 1)
    offset = torch.arange(new_size) - (new_size - 1) // 2
    old = torch.arange(stride)[:, None] + padding - stride * offset[None]
    return torch.where((old >= 0) & (old < size), old, size)
