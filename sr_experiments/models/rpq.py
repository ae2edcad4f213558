"""RPQ (TCLResearchEurope at Mobile AI 2022, arXiv:2211.05910, 4.2): fold, prune, quantise.

Every convolution trains as a collapsible linear block, folded at each step, so that
quantisation-aware training sees the kernel that ships. Channels are pruned between training and
quantisation; what is left is a plain chain with a clip before depth-to-space.

The block is "an inverted residual with a standard convolution", expanded four times: 1x1, 3x3,
1x1. It expands the wider of its two ends: four times the three colours would leave the first
layer 12 dimensions of the 27 that its kernel has. The depth is not stated, and the width before
pruning is 48 (``channels=48``). Four middle convolutions with 31 of these left, the default,
make an INT8 file of 52 to 57 KiB, where table 1 prints 53. Pruning chooses the channels layer by
layer: ``channels`` takes a list.
"""

from itertools import pairwise

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import GREY, initialise, start_quietly
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock
from sr_experiments.models.blocks.widths import Widths, hidden_widths


class RPQ(SRModel):
    """The network of team TCLResearchEurope.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each of the ``num_blocks + 1``.
        num_blocks: Convolutions between the first and the last.
        expansion: How many times wider the blocks are inside.
        layers: 2 or 3 convolutions in a block (``CollapsibleLinearBlock``).
        online: Run on the folded kernels as published; False runs the wide blocks.
        clip_output: Clip to [0, 1] as published.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 31,
        num_blocks: int = 4,
        expansion: int = 4,
        layers: int = 3,
        online: bool = True,
        clip_output: bool = True,
    ) -> None:
        super().__init__(scale, clip_output)
        widths = [3, *hidden_widths(channels, num_blocks + 1), 3 * scale**2]
        chain: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            inside = expansion * max(width_in, width_out)
            chain += [
                CollapsibleLinearBlock(
                    width_in, width_out, width=inside, layers=layers, online=online
                ),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*chain[:-1])
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.body[-1], GREY)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        prediction: Tensor = self.shuffle(self.clip(self.body(low_res)))
        return prediction
