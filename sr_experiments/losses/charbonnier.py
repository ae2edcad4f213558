"""Charbonnier et al. (1994): L1 with a rounded corner.

XLSR trains with it because it works better than L1 behind a clipped output (paper, 4.2).
"""

from torch import Tensor, nn

from sr_experiments.errors import UserError


def charbonnier(prediction: Tensor, target: Tensor, eps: float = 0.1) -> Tensor:
    """Mean of ``sqrt(d^2 + eps^2)`` over every pixel difference ``d``.

    Shape:
        Two tensors of one shape, to a scalar.

    Returns:
        A scalar; ``eps``, not zero, when the images are equal.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 3, 8, 8)
        >>> round(charbonnier(image, image).item(), 4)
        0.1
    """
    return (prediction - target).square().add(eps**2).sqrt().mean()


class Charbonnier(nn.Module):
    """``charbonnier`` as a module.

    Args:
        eps: Below this difference the loss is nearly square, above it nearly L1; in the units
            of the images, here [0, 1]. Some code puts 0.01 = 0.1^2 inside the root: the same.
    """

    def __init__(self, eps: float = 0.1) -> None:
        super().__init__()
        if not eps > 0:
            raise UserError(f"loss.eps={eps} must be above 0; for a plain L1 use loss=l1.")
        self.eps = eps

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same."""
        return charbonnier(prediction, target, self.eps)
