"""ACSR (TCL Research HK at Mobile AI 2022, arXiv:2211.05910, 4.19): deep, then collapsed.

An anchor-collapsed network, first of the challenge in PSNR: residual blocks of a 3x3 and a 1x1
convolution with a ReLU, a 5x5 and a 1x1 convolution at the end, ABPN's anchor around it all.
Each pair (and the residual) folds into one convolution.

The report gives neither width, depth nor expansion. 28 wide with eleven blocks, the reading that
suits "a deep structure ... and a large number of skip connections", makes an INT8 file of 115 to
124 KiB, where table 1 prints 121 (32 wide with nine fits, too). The pairs are 256 wide inside, as
in SESR, which the report cites for collapsing. Clip: not stated, on.
"""

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import initialise, make_anchor, start_quietly
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock


class ACSR(SRModel):
    """The network of team TCL Research HK.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Residual blocks.
        width: Channels inside the blocks, while they train.
        online: Run on the folded kernels, which is faster; False runs the wide blocks.
        clip_output: Clip to [0, 1].
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 28,
        num_blocks: int = 11,
        width: int = 256,
        online: bool = True,
        clip_output: bool = True,
    ) -> None:
        super().__init__(scale, clip_output)
        layers: list[nn.Module] = []
        for index in range(num_blocks + 1):
            channels_in = channels if index else 3
            layers += [
                CollapsibleLinearBlock(channels_in, channels, width=width, online=online),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.tail = CollapsibleLinearBlock(
            channels, 3 * scale**2, kernel_size=5, width=width, identity=False, online=online
        )
        self.anchor = make_anchor("repeat", scale)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, 0.0)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        enlarged = self.tail(self.body(low_res)) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction
