"""NCNet (MegSR at Mobile AI 2022; Luo et al., 2022, arXiv:2208.11609; Algolzw/NCNet).

ABPN whose nine copies of the input are made by a frozen 1x1 convolution, which NPUs run faster
than a concatenation. The submitted file has exactly these layers.

Deviations: as ABPN's; the input is [0, 1].
"""

from typing import Literal

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.blocks.widths import Widths


class NCNet(ABPN):
    """The network of team MegSR: ABPN, 32 wide, with a nearest convolution.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions between the first and the last two.
        clip_output: Clip to [0, 1] as published.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 32,
        num_blocks: int = 4,
        clip_output: bool = True,
        clip_hidden: float | Literal["learned"] | None = None,
        block: str = "conv",
    ) -> None:
        super().__init__(
            scale, channels, num_blocks, clip_output, clip_hidden, block, anchor="nearest"
        )
