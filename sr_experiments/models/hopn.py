"""HOPN (LCVG at Mobile AI 2022, arXiv:2211.05910, 4.4): ABPN without anything but 3x3 kernels.

A hardware-optimised plain network: ABPN's anchor is left out, which cost little PSNR and was
faster, and the clip comes before depth-to-space. Trained under quantisation from scratch.

The report gives no width. ABPN's 28 without its anchor and its last convolution makes an INT8
file of 45 to 49 KiB, where table 1 prints 48; with that convolution it would be 52 to 58.
"""

from sr_experiments.models.blocks.widths import Widths
from sr_experiments.models.emsrnet import EMSRNet


class HOPN(EMSRNet):
    """The network of team LCVG: six convolutions, 28 wide.

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
        num_blocks: int = 5,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, channels, num_blocks, clip_output, block)
