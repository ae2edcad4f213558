"""L1 between the cosine transforms of two images (Z6 at Mobile AI 2022, arXiv:2211.05910, 4.1).

The report names a "DCT-domain L1 loss" and defines nothing. Here it is the mean absolute
difference of the coefficients of an orthonormal DCT-II, per colour. The transform keeps squares,
so an L2 loss would be the pixels' own; L1 changes: an error spread over all pixels in one
frequency costs little, the same energy as noise over all frequencies much more. Whole patch or
blocks is not said either; blocks of 8 are JPEG's, and the default because an error then
stays near its pixels. Per-pixel scale is L1's: white noise costs the same in both.
"""

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.dct import dct2


def dct_l1(prediction: Tensor, target: Tensor, block: int | None = 8) -> Tensor:
    """Mean of ``|c|`` over the DCT-II coefficients ``c`` of the difference, a scalar.

    Args:
        prediction: (..., H, W).
        target: The same shape.
        block: Side of the blocks that are transformed; None transforms the whole image.

    Raises:
        ValueError: Height or width is no multiple of ``block``.

    Example:
        >>> import torch
        >>> loss = dct_l1(torch.ones(8, 8), torch.zeros(8, 8))
        >>> round(loss.item(), 4)  # one coefficient of 8, and 63 of 0
        0.125
    """
    return dct2(prediction - target, block).abs().mean()


class DCTL1(nn.Module):
    """``dct_l1`` as a module.

    Args:
        block: Side of the blocks that are transformed; None transforms the whole patch.
    """

    def __init__(self, block: int | None = 8) -> None:
        super().__init__()
        if block is not None and block < 2:
            raise UserError(f"dct_l1: block={block} must be at least 2, or null for whole patches")
        self.block = block

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same.

        Raises:
            UserError: Height or width is no multiple of the block.
        """
        try:
            return dct_l1(prediction, target, self.block)
        except ValueError as error:
            raise UserError(
                f"dct_l1: {error}; choose data.patch so that data.patch * scale is a multiple of "
                "block, or block=null"
            ) from error
