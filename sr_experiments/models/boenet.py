"""The network of BOE-IOT-AIBD at Mobile AI 2022 (arXiv:2211.05910, 4.5): seven 3x3 convolutions.

One extracts features, six work on them, then a clip and depth-to-space, in this order because it
was much faster than the other; no skip.

The report gives no width. 28, ABPN's, makes an INT8 file of 53 to 58 KiB, where table 1 prints
57. A last convolution between sub-pixels, as ABPN has, would fit too (42,539 parameters); the
text does not mention one.
"""

from sr_experiments.models.blocks.widths import Widths
from sr_experiments.models.emsrnet import EMSRNet


class BOENet(EMSRNet):
    """The network of team BOE-IOT-AIBD: seven convolutions, 28 wide.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions with ReLU.
        clip_output: Clip to [0, 1] as published.
        block: What the convolutions between the first and the last train as
            (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 6,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, channels, num_blocks, clip_output, block)
