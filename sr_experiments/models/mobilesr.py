"""The CDFM network of MobileSR at Mobile AI 2022 (arXiv:2211.05910, 4.24).

A "channel-and-deep-features-mixer" is two 3x3 convolutions with ReLU. One extracts, four in a
row with a skip around them work, one convolution makes the sub-pixels, ABPN's anchor is added.

The report gives no width. 27 makes an INT8 file of 82 to 90 KiB, where table 1 prints 82; 28
would exceed it, 26 fit too. Clip: not stated, on.
"""

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import initialise, make_anchor, make_conv, start_quietly


class MobileSR(SRModel):
    """The network of team MobileSR.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Mixers under the skip.
        clip_output: Clip to [0, 1].
        block: What all hidden convolutions but the first train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 27,
        num_blocks: int = 4,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        self.shallow = _mixer(make_conv("conv", 3, channels), make_conv(block, channels, channels))
        self.deep = nn.Sequential(
            *(
                _mixer(make_conv(block, channels, channels), make_conv(block, channels, channels))
                for _ in range(num_blocks)
            )
        )
        self.tail = make_conv("conv", channels, 3 * scale**2)
        self.anchor = make_anchor("repeat", scale)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, 0.0)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        shallow = self.shallow(low_res)
        enlarged = self.tail(self.deep(shallow) + shallow) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction


def _mixer(first: nn.Module, second: nn.Module) -> nn.Sequential:
    """One CDFM."""
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
