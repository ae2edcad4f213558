"""SkipSkip (GenMedia Group at Mobile AI 2022, arXiv:2211.05910, 4.8): ABPN, joined by a 1x1.

Instead of adding an anchor, the input is concatenated to ABPN's output and a 1x1 convolution
mixes them, an extra skip; the clip comes before depth-to-space. SiLU while training in floating
point, ReLU from quantisation-aware training on: the weights are the same, so the second stage
starts from the first with ``activation=relu``.

Where the extra skip starts and ends is not said. ABPN's convolutions (28 wide, four in the
middle) with the three colours concatenated at the end make an INT8 file of 55 to 62 KiB, where
table 1 prints 56; with the 27-channel anchor it would have 44,024 parameters. Its colour
weights start as the anchor's.
"""

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import initialise, make_conv
from sr_experiments.models.blocks.anchor import COLOURS, nearest_kernel


class SkipSkip(SRModel):
    """The network of team GenMedia Group.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Convolutions between the first and the last two.
        activation: ``relu``, or ``silu`` as published for floating point, which NPUs
            lack.
        clip_output: Clip to [0, 1] as published.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 28,
        num_blocks: int = 4,
        activation: str = "relu",
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        pixels = 3 * scale**2
        layers = [make_conv("conv", 3, channels), _activation(activation)]
        for _ in range(num_blocks):
            layers += [make_conv(block, channels, channels), _activation(activation)]
        layers += [make_conv("conv", channels, pixels), _activation(activation)]
        self.body = nn.Sequential(*layers, make_conv("conv", pixels, pixels))
        self.mix = nn.Conv2d(pixels + COLOURS, pixels, 1)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        self.mix.weight.data[:, pixels:] = nearest_kernel(scale**2)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        joined = torch.cat([self.body(low_res), low_res], dim=1)
        prediction: Tensor = self.shuffle(self.clip(self.mix(joined)))
        return prediction


def _activation(name: str) -> nn.Module:
    if name == "relu":
        return nn.ReLU()
    if name == "silu":
        return nn.SiLU()
    raise UserError(f"model.activation={name} is not known: use relu or silu.")
