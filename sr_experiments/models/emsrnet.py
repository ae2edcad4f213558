"""EMSRNet (NJUST at Mobile AI 2022, arXiv:2211.05910, 4.6): plain 3x3 convolutions, no skip.

Every element-wise operator costs a mobile NPU a pass over memory, so there is none: ReLU fuses
into the convolution before it, and the whole network is a chain.

The report says "five 3x3 convolutions followed by ReLU" and no width. Five with ReLU plus one
to the sub-pixels, 32 wide, makes an INT8 file of the 57 KiB that table 1 prints; five in all
would need the odd width of 37.
"""

from itertools import pairwise

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import GREY, initialise, make_conv, start_quietly
from sr_experiments.models.blocks.widths import Widths, hidden_widths


class EMSRNet(SRModel):
    """The network of team NJUST.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions with ReLU.
        clip_output: Clip to [0, 1]; the report does not say.
        block: What the convolutions between the first and the last train as
            (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 32,
        num_blocks: int = 5,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        widths = hidden_widths(channels, num_blocks)
        layers = [make_conv("conv", 3, widths[0]), nn.ReLU()]
        for before, width in pairwise(widths):
            layers += [make_conv(block, before, width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tail = make_conv("conv", widths[-1], 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, GREY)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        prediction: Tensor = self.shuffle(self.clip(self.tail(self.body(low_res))))
        return prediction
