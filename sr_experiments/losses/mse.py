"""Mean squared error, which is PSNR up to a logarithm."""

import torch.nn.functional as F
from torch import Tensor, nn


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of ``d^2`` over every pixel difference ``d``, a scalar.

    Example:
        >>> import torch
        >>> mse(torch.zeros(2), torch.tensor([1.0, -3.0])).item()
        5.0
    """
    return F.mse_loss(prediction, target)


class MSE(nn.Module):
    """``mse`` as a module."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same."""
        return mse(prediction, target)
