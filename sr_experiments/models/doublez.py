"""The network of DoubleZ at Mobile AI 2022 (arXiv:2211.05910, 4.11): ABPN, its residual trained.

One convolution takes the place of ABPN's nine copies of the input, and a ReLU that of its clip,
which was faster.

The report gives neither width nor depth. 28 wide with five middle convolutions makes an INT8
file of 63 to 70 KiB, where table 1 prints 63; ABPN's four would make at most 61. The residual
convolution is 3x3 (a 1x1 one would fit as well) and starts as the copies it replaces.

A ReLU bounds the picture from below only; what exceeds 1 is left to the 8-bit output, which ends
there. ``clip_output=true`` bounds it in the network, too.
"""

from torch import Tensor, nn

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.blocks.widths import Widths


class DoubleZ(ABPN):
    """The network of team DoubleZ.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions between the first and the last two.
        clip_output: Bound the picture by 1; False leaves the published ReLU alone.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
        anchor: The residual path: ``conv3`` or ``conv1`` (trained), ``repeat`` or ``nearest``.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 5,
        clip_output: bool = False,
        block: str = "conv",
        anchor: str = "conv3",
    ) -> None:
        super().__init__(scale, channels, num_blocks, clip_output, block=block, anchor=anchor)
        self.lower_clip = nn.ReLU()

    def clip(self, prediction: Tensor) -> Tensor:
        """The prediction without negative values, or clipped to [0, 1] if built so."""
        return super().clip(prediction) if self.output_clip else self.lower_clip(prediction)
