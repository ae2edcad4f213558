"""Total variation (Rudin et al., 1992), squared: what keeps a generator's noise down.

In the form of the SRGAN code base that Swift-SRGAN (arXiv:2111.14320) took over: twice the mean
squared step between neighbours, rows and columns apart. That code weighs it by 2e-8.
"""

from torch import Tensor, nn


def total_variation(image: Tensor) -> Tensor:
    """``2 (mean dv^2 + mean dh^2)`` of the steps ``dv`` down and ``dh`` across, a scalar.

    Args:
        image: (..., H, W), both at least 2.

    Example:
        >>> import torch
        >>> total_variation(torch.tensor([[0.0, 1.0], [0.0, 1.0]])).item()
        2.0
    """
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., 1:] - image[..., :-1]
    return 2 * (down.square().mean() + across.square().mean())


class TotalVariation(nn.Module):
    """``total_variation`` of the prediction; meant as one term of ``loss=combined``."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Judge (N, 3, H, W); the target is not looked at."""
        return total_variation(prediction)
