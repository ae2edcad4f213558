"""The network of Lab216 at Mobile AI 2022 (arXiv:2211.05910, 4.13): two branches, unequally deep.

One 3x3 convolution carries what enlargement needs anyway, seven with ReLU find the details; the
sum is shuffled. Its training, not its layout, is the point: quantisation-aware with a
contrastive loss whose negatives are bicubic enlargements.

The report gives no width. Seven convolutions with ReLU, 32 wide, and an eighth to the sub-pixels
make an INT8 file of 78 to 84 KiB, where table 1 prints 78; seven in all would need 34 or 35. The
short branch starts as nearest-neighbour enlargement. Clip: not stated, on.
"""

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.blocks.widths import Widths


class Lab216Net(ABPN):
    """The network of team Lab216.

    Args:
        scale: Enlargement.
        channels: Width of the deep branch's hidden layers, or one for each.
        num_blocks: Its convolutions between the first and the last.
        clip_output: Clip to [0, 1].
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 32,
        num_blocks: int = 6,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(
            scale, channels, num_blocks, clip_output, block=block, anchor="conv3", tail=False
        )
