"""S2R2 (Jeremy Kwon at Mobile AI 2022, arXiv:2211.05910, 4.12): DoubleZ's network, shallower.

"The main difference ... is the number of convolutional layers", which the report does not give.
28 wide with three middle convolutions and a 1x1 residual convolution makes an INT8 file of 46 to
51 KiB, where table 1 prints 48.

Its second loss, L1 after space-to-depth, is L1 once more: the pixels are the same.
"""

from sr_experiments.models.blocks.widths import Widths
from sr_experiments.models.doublez import DoubleZ


class S2R2(DoubleZ):
    """The network of Jeremy Kwon.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions between the first and the last two.
        clip_output: Bound the picture by 1; False leaves the published ReLU alone.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
        anchor: The residual path: ``conv1`` or ``conv3`` (trained), ``repeat`` or ``nearest``.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 3,
        clip_output: bool = False,
        block: str = "conv",
        anchor: str = "conv1",
    ) -> None:
        super().__init__(scale, channels, num_blocks, clip_output, block, anchor)
