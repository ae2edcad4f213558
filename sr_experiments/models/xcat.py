"""XCAT (Aselsan Research; Ayazoglu and Bilecen, 2022, arXiv:2208.14655; report 4.17).

Heterogeneous group convolutions: the channels are split into unequal groups with kernels of
different shapes. What mixes the groups is cross concatenation, a circular shift of the block's
output channels in place of XLSR's 1x1 convolutions. A frozen 1x1 convolution repeats the input,
and a clipped ReLU ends it.

Neither widths nor kernels nor the number of blocks are in the texts. 28 channels, three blocks,
a half with 3x3 kernels and two quarters with 1x3 and 3x1 is a reading: table 1's 30 KB is at the
low end of what such networks need, which speaks against 3x3 everywhere (15,637 parameters). The
image is added, as the report says at the end; one sentence earlier it is "provided".

The shift by half the channels lets halves and quarters change places, so it needs no operator:
each quarter is a tensor of its own. The wide group therefore is two convolutions that read the
same half, which is the same function as one.
"""

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import initialise, make_anchor

Quarters = tuple[Tensor, Tensor, Tensor, Tensor]


class XCAT(SRModel):
    """The network of team Aselsan Research.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, a multiple of 4.
        num_blocks: Heterogeneous group convolution blocks.
        clip_output: Clip to [0, 1] as published.
    """

    def __init__(
        self, scale: int = 3, channels: int = 28, num_blocks: int = 3, clip_output: bool = True
    ) -> None:
        super().__init__(scale, clip_output)
        if channels % 4:
            raise UserError(f"model.channels={channels} cannot be quartered: use a multiple of 4.")
        quarter = channels // 4
        self.head = nn.ModuleList(_conv(3, quarter, (3, 3)) for _ in range(4))
        self.blocks = nn.ModuleList(_HXBlock(quarter) for _ in range(num_blocks))
        self.tail = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        self.anchor = make_anchor("nearest", scale)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        quarters = [conv(low_res) for conv in self.head]
        for block in self.blocks:
            quarters = block(*quarters)
        enlarged = self.tail(torch.cat(list(quarters), dim=1)) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction


class _HXBlock(nn.Module):
    """A half through 3x3 kernels, a quarter through 1x3, a quarter through 3x1; then the shift."""

    def __init__(self, quarter: int) -> None:
        super().__init__()
        self.wide = nn.ModuleList(_conv(2 * quarter, quarter, (3, 3)) for _ in range(2))
        self.row = _conv(quarter, quarter, (1, 3))
        self.column = _conv(quarter, quarter, (3, 1))

    def forward(self, first: Tensor, second: Tensor, third: Tensor, fourth: Tensor) -> Quarters:
        """Map the four quarters of the channels, (N, quarter, H, W) each."""
        half = torch.cat([first, second], dim=1)
        left, right = (conv(half) for conv in self.wide)
        return self.row(third), self.column(fourth), left, right


def _conv(channels_in: int, channels_out: int, size: tuple[int, int]) -> nn.Sequential:
    padding = (size[0] // 2, size[1] // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, padding=padding),
        nn.ReLU(),
    )
