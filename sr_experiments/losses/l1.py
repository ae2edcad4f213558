"""Mean absolute error: what most Mobile AI entries train with."""

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
