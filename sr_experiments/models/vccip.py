"""The network of Vccip at Mobile AI 2022 (arXiv:2211.05910, 4.9): diverse branches on the anchor.

Two 3x3 convolutions with six re-parameterisable blocks between them learn what the anchor
(ABPN's) lacks; each block ships as one convolution.

The figure with the block is not in the text: see ``models.blocks.branches`` for the reading. The
report gives no width; 28 makes an INT8 file of 62 to 69 KiB, where table 1 prints 67. The last
convolution is linear: a residual has both signs.
"""

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.blocks import start_quietly
from sr_experiments.models.blocks.widths import Widths


class VccipNet(ABPN):
    """The network of team Vccip.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Re-parameterisable blocks.
        clip_output: Clip to [0, 1].
        block: What they are (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 6,
        clip_output: bool = True,
        block: str = "vccip_online",
    ) -> None:
        super().__init__(scale, channels, num_blocks, clip_output, block=block, tail=False)
        start_quietly(self.tail, 0.0)
