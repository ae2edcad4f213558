"""Minus PSNR (Antins_cv at Mobile AI 2022, arXiv:2211.05910, 4.7): training on the score itself.

Against the mean squared error of the whole batch, each image counts by its relative error, so
smooth patches are not drowned out by textured ones. The form with 1e-8 inside of the logarithm
is that of HINet (Chen et al., 2021, arXiv:2105.06086), which BasicSR and most others copy; the
report gives none.
"""

import math

from torch import Tensor, nn

FLOOR = 1e-8  # of the squared error: no image is better than 80 dB


def negative_psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over images of ``10 log10(mse + 1e-8)``, a scalar in dB; less is better.

    Args:
        prediction: (N, ...) in [0, 1].
        target: The same shape.

    Example:
        >>> import torch
        >>> round(negative_psnr(torch.full((1, 3, 4, 4), 0.1), torch.zeros(1, 3, 4, 4)).item(), 3)
        -20.0
    """
    mse = (prediction - target).square().flatten(1).mean(1)
    return (mse + FLOOR).log().mean() * (10 / math.log(10))


class PSNR(nn.Module):
    """``negative_psnr`` as a module."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same."""
        return negative_psnr(prediction, target)
