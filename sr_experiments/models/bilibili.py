"""The network of Bilibili AI at Mobile AI 2022 (arXiv:2211.05910, 4.23).

Two identical convolutions of the input, each with ReLU, are concatenated and mixed by a 1x1; a
chain of 3x3 convolutions with a skip around it follows; the input "resized via pixel
multiplication", ABPN's anchor, is added before the shuffle.

The report gives neither width nor depth. 32 wide with five convolutions makes an INT8 file of 72
to 79 KiB, where table 1 prints 75. Each of the five has a ReLU and the skip adds the mixed
features after the last; the 1x1 has no activation, as the text names none. Clip: not stated, on.
"""

import torch
from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import initialise, make_anchor, make_conv, start_quietly


class BilibiliNet(SRModel):
    """The network of team Bilibili AI.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Convolutions under the skip.
        clip_output: Clip to [0, 1].
        block: What these train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 32,
        num_blocks: int = 5,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        self.first = nn.Sequential(make_conv("conv", 3, channels), nn.ReLU())
        self.second = nn.Sequential(make_conv("conv", 3, channels), nn.ReLU())
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        layers: list[nn.Module] = []
        for _ in range(num_blocks):
            layers += [make_conv(block, channels, channels), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tail = make_conv("conv", channels, 3 * scale**2)
        self.anchor = make_anchor("repeat", scale)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, 0.0)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        mixed = self.mix(torch.cat([self.first(low_res), self.second(low_res)], dim=1))
        enlarged = self.tail(self.body(mixed) + mixed) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction
