"""ABPN (Du et al., 2021, arXiv:2105.10862): learn only the difference to the nearest neighbour.

The anchor, the input repeated along the channels so that pixel shuffle turns it into
nearest-neighbour enlargement, is added at low resolution: the residual connection of the larger
networks at the price of one addition, and the convolutions are left the details.

Deviations from NJU-Jet/SR_Mobile_Quantization (``base7``):
- The input is [0, 1], not 0..255, and the output is clipped to match.
- The clip comes before the pixel shuffle; the two commute.
- The anchor repeats each colour, PyTorch's order; TensorFlow's repeats the RGB triple.
- AIMET's ABPN (five middle convolutions, no last 27->27) is another network.
"""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import RepeatChannels, hidden_activation


class ABPN(SRModel):
    """``num_blocks + 3`` convolutions and the anchor.

    Args:
        scale: Enlargement; the last two layers have ``3 * scale^2`` channels.
        channels: Width of the hidden layers.
        num_blocks: Convolutions between the first and the last two.
        clip_output: Clip to [0, 1] as published; False is linear.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 28,
        num_blocks: int = 4,
        clip_output: bool = True,
        clip_hidden: float | Literal["learned"] | None = None,
    ) -> None:
        super().__init__(scale, clip_output)
        widths = [3, *[channels] * (num_blocks + 1), 3 * scale**2]
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [
                nn.Conv2d(width_in, width_out, 3, padding=1),
                hidden_activation(clip_hidden),
            ]
        self.body = nn.Sequential(*layers)
        self.tail = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.anchor = RepeatChannels(scale**2)
        self.shuffle = nn.PixelShuffle(scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        enlarged = self.tail(self.body(low_res)) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction
