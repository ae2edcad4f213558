"""Mean absolute error: what most Mobile AI entries train with.

Space-to-depth only reorders pixels, so the second loss of S2R2 (arXiv:2211.05910, 4.12), L1 "on
images resized with the space-to-depth op", is this one again: the two make twice L1, and Adam
takes the same steps for it. There is no loss of its own for it.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of ``|d|`` over every pixel difference ``d``, a scalar.

    Example:
        >>> import torch
        >>> l1(torch.zeros(2), torch.tensor([1.0, -3.0])).item()
        2.0
    """
    return F.l1_loss(prediction, target)


class L1(nn.Module):
    """``l1`` as a module."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same."""
        return l1(prediction, target)
