"""Bicubic as a network: the baseline of every table, run by the same code as the others.

Keys (1981) with a = -0.5 as MATLAB's ``imresize`` computes it, borders included.
"""

from typing import ClassVar

from torch import Tensor

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import BicubicUpscale


class Bicubic(SRModel):
    """MATLAB's bicubic enlargement.

    Args:
        scale: Enlargement.
    """

    trainable: ClassVar[bool] = False
    reason: ClassVar[str] = "bicubic interpolation has no parameters to train"

    def __init__(self, scale: int = 3) -> None:
        super().__init__(scale)
        self.upscale = BicubicUpscale(scale)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) to (N, 3, scale * H, scale * W); neither rounded nor clipped."""
        prediction: Tensor = self.upscale(low_res)
        return prediction
