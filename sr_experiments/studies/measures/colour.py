"""M2 of the mini-batch paper (3.2.2): the mean colour, ordered as hue, saturation, value.

The paper sorts "by this value" without saying in which order its three numbers count. We take
them as they stand in HSV: hue first, then saturation, then value.
"""

import torch
from torch import Tensor

from sr_experiments.studies.measures.base import Measure

__all__ = ["MeanColour"]


class MeanColour(Measure):
    """Hue, saturation and value, each in [0, 1], of the mean over all pixels."""

    title = "mean colour (HSV)"
    ends = ("hue 0, red", "hue 1, red again")

    def __call__(self, pictures: Tensor) -> Tensor:
        """See `Measure`: (N, 3)."""
        from kornia.color import rgb_to_hsv

        mean = pictures.double().mean((2, 3)) / 255
        hue, saturation, value = rgb_to_hsv(mean[:, :, None, None])[:, :, 0, 0].unbind(1)
        return torch.stack([hue / (2 * torch.pi), saturation, value], dim=1)
