"""The dual-branch network of Antins_cv at Mobile AI 2022 (arXiv:2211.05910, 4.7).

Six convolutions, extremely light: after the first, two branches of two each, merged by addition;
the right one ends without an activation, so that it can also take away.

The report gives no width; 24 makes an INT8 file of 35 to 40 KiB, where table 1 prints 38. It
mentions no clip but an operator that fixes the output's range: the clip does that here.
"""

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import GREY, initialise, make_conv, start_quietly


class AntinsNet(SRModel):
    """The network of team Antins_cv.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        clip_output: Clip to [0, 1].
        block: What the four convolutions of the branches train as (``models.blocks.factory``).
    """

    def __init__(
        self, scale: int = 3, channels: int = 24, clip_output: bool = True, block: str = "conv"
    ) -> None:
        super().__init__(scale, clip_output)
        self.head = nn.Sequential(make_conv("conv", 3, channels), nn.ReLU())
        self.left = nn.Sequential(
            make_conv(block, channels, channels),
            nn.ReLU(),
            make_conv(block, channels, channels),
            nn.ReLU(),
        )
        self.right = nn.Sequential(
            make_conv(block, channels, channels), nn.ReLU(), make_conv(block, channels, channels)
        )
        self.tail = make_conv("conv", channels, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, GREY)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        shallow = self.head(low_res)
        merged = self.left(shallow) + self.right(shallow)
        prediction: Tensor = self.shuffle(self.clip(self.tail(merged)))
        return prediction
