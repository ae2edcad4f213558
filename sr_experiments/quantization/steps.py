"""Rounding to multiples of a step that may itself be learned.

LSQ (Esser et al., 2020, arXiv:1902.08153): the gradient of a rounded value with respect to its
step is what rounding added, in steps, and the end of the range where the value was clipped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def stepped(x: Tensor, step: Tensor, zero_point: int, lowest: int, highest: int) -> Tensor:
    """Round ``x`` to the levels ``step * (q - zero_point)``, ``q`` in ``[lowest, highest]``.

    The gradient passes straight through to values inside the range (Bengio et al., 2013). A step
    that needs a gradient gets LSQ's, times ``1 / sqrt(values per step * highest)``, so that it
    moves about as fast as what it rounds.

    Args:
        x: Any shape.
        step: A scalar, or ``(O,)`` for one step each along the first axis of ``x``.
        zero_point: The level that stands for zero.
        lowest: Lowest level.
        highest: Highest level.

    Returns:
        The rounded values, of ``x``'s shape.
    """
    if step.requires_grad:
        rounded: Tensor = _LearnedStep.apply(x, step, zero_point, lowest, highest)
        return rounded
    return _round(x, step, zero_point, lowest, highest)


def _round(x: Tensor, step: Tensor, zero_point: int, lowest: int, highest: int) -> Tensor:
    # Torch's own operators: the levels are the same whether the step is learned or not.
    zero_points = torch.full_like(step, zero_point, dtype=torch.int32)
    if step.dim():
        return torch.fake_quantize_per_channel_affine(x, step, zero_points, 0, lowest, highest)
    return torch.fake_quantize_per_tensor_affine(x, step, zero_points, lowest, highest)


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, zero_point: int, lowest: int, highest: int
    ) -> Tensor:
        ctx.save_for_backward(x, step)
        ctx.ends = lowest - zero_point, highest - zero_point
        ctx.highest = highest
        return _round(x, step, zero_point, lowest, highest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, step = ctx.saved_tensors
        low, high = ctx.ends
        steps = x / (step.view(-1, *[1] * (x.dim() - 1)) if step.dim() else step)
        levels = steps.round()
        inside = (levels >= low) & (levels <= high)
        change = torch.where(inside, levels - steps, levels.clamp(low, high)) * gradient
        change = change.flatten(1).sum(1) if step.dim() else change.sum()
        speed = (x.numel() / step.numel() * ctx.highest) ** -0.5
        return gradient * inside, (change * speed).to(step.dtype), None, None, None
