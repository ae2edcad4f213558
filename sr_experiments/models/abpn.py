"""ABPN (Du et al., 2021, arXiv:2105.10862): learn only the difference to the nearest neighbour.

The anchor, the input repeated along the channels so that pixel shuffle turns it into
nearest-neighbour enlargement, is added at low resolution: the residual connection of the larger
networks at the price of one addition, and the convolutions are left the details.

Deviations from NJU-Jet/SR_Mobile_Quantization (``base7``):
- The input is [0, 1], not 0..255, and the output is clipped to match.
- The clip comes before the pixel shuffle; the two commute.
- The anchor repeats each colour, PyTorch's order; TensorFlow's repeats the RGB triple.
- AIMET's ABPN (five middle convolutions, no last 27->27) is another network.

Its descendants at Mobile AI 2022 (arXiv:2211.05910) change its numbers, the blocks that its
convolutions train as, how the anchor is made, or leave the last convolution out: the options.
"""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import hidden_activation, initialise, make_anchor, make_conv
from sr_experiments.models.blocks.widths import Widths, hidden_widths


class ABPN(SRModel):
    """``num_blocks + 3`` convolutions and the anchor.

    Args:
        scale: Enlargement; the last two layers have ``3 * scale^2`` channels.
        channels: Width of the hidden layers, of which the last before ``tail`` has the
            sub-pixels' ``3 * scale^2``; or one for each, that one included.
        num_blocks: Convolutions between the first and the last two.
        clip_output: Clip to [0, 1] as published; False is linear.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
        end_block: What the first and the last ones train as.
        anchor: ``repeat`` as published, ``nearest`` (a frozen 1x1 convolution), ``conv1`` or
            ``conv3`` (a trained one).
        tail: Keep the last convolution, between sub-pixels; without it, the one before is
            linear.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 4,
        clip_output: bool = True,
        clip_hidden: float | Literal["learned"] | None = None,
        block: str = "conv",
        end_block: str = "conv",
        anchor: str = "repeat",
        tail: bool = True,
    ) -> None:
        super().__init__(scale, clip_output)
        pixels = 3 * scale**2
        widths = hidden_widths(channels, num_blocks + 1, last=pixels if tail else None)
        blocks = [end_block, *[block] * num_blocks, end_block]
        layers: list[nn.Module] = []
        for kind, (before, width) in zip(blocks, pairwise([3, *widths]), strict=False):
            layers += [make_conv(kind, before, width), hidden_activation(clip_hidden)]
        self.body = nn.Sequential(*layers)
        self.tail = make_conv(end_block, widths[-1], pixels)
        initialise(self)
        self.anchor = make_anchor(anchor, scale)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        enlarged = self.tail(self.body(low_res)) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction
