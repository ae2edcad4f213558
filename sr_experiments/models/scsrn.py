"""SCSRN (Z6, winner of Mobile AI 2022, arXiv:2211.05910, 4.1): a skip by concatenation.

Additions are slow on the target NPU, so the input joins the features by concatenation just
before the last convolution. Five of the seven convolutions train as re-parameterisable blocks
(3x3 to 256, 1x1 back, plus the input). The clip comes before the shuffle.

"Two-seven 3x3 convolution layers, five blocks" is read as two plain convolutions and five blocks
in training, seven convolutions in the file. Where the input joins is not said; here as in the
same author's PlainSR2 (Ganzooo/LRSRN), and 66 to 72 KiB of INT8 fit the 67 of table 1.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import GREY, initialise, make_conv, start_quietly
from sr_experiments.models.blocks.widths import Widths, hidden_widths


class SCSRN(SRModel):
    """The network of team Z6.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Re-parameterisable blocks.
        clip_output: Clip to [0, 1] as published.
        block: What they are (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 32,
        num_blocks: int = 5,
        clip_output: bool = True,
        block: str = "repblock_online",
    ) -> None:
        super().__init__(scale, clip_output)
        widths = hidden_widths(channels, num_blocks + 1)
        layers = [make_conv("conv", 3, widths[0]), nn.ReLU()]
        for before, width in pairwise(widths):
            layers += [make_conv(block, before, width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tail = make_conv("conv", widths[-1] + 3, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, GREY)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        features = torch.cat([self.body(low_res), low_res], dim=1)
        prediction: Tensor = self.shuffle(self.clip(self.tail(features)))
        return prediction
