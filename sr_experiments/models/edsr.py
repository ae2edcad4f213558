"""EDSR (Lim et al., 2017, arXiv:1707.02921): SRResNet without batch norm, and wider.

Batch norm costs range flexibility and memory; without it the saved memory buys width. Wide
networks need their residuals scaled by 0.1 to train; the baseline (64 channels, 16 blocks)
does not. The large network is ``conf/model/edsr_large.yaml``.

Deviations:
- The input is [0, 1], not 0..255. DIV2K's mean colour is subtracted and added back by two fixed
  offsets, as the authors' code does.
- Residual scaling is folded into the convolution before it (``ScaledConv2d``), so no
  multiplication reaches a device.
- Initialisation is PyTorch's own, as in the authors' code.
"""

from typing import Literal

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import (
    DIV2K_MEAN,
    ChannelOffset,
    ScaledConv2d,
    enlargement_steps,
    hidden_activation,
)


class ResidualBlock(nn.Module):
    """Two convolutions added to their input.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(
        self,
        channels: int,
        res_scale: float,
        clip_hidden: float | Literal["learned"] | None,
    ) -> None:
        super().__init__()
        last: nn.Module
        if res_scale == 1:
            last = nn.Conv2d(channels, channels, 3, padding=1)
        else:
            last = ScaledConv2d(channels, 3, res_scale)
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), hidden_activation(clip_hidden), last
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual."""
        y: Tensor = x + self.body(x)
        return y


class EDSR(SRModel):
    """EDSR-baseline by default.

    Args:
        scale: 3 or a power of two (which enlarges by 2 several times).
        channels: Width.
        num_blocks: Residual blocks.
        res_scale: Factor on every residual; 0.1 for the large network.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 16,
        res_scale: float = 1.0,
        clip_output: bool = False,
        clip_hidden: float | Literal["learned"] | None = None,
    ) -> None:
        super().__init__(scale, clip_output)
        self.subtract_mean = ChannelOffset([-value for value in DIV2K_MEAN])
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(channels, res_scale, clip_hidden) for _ in range(num_blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        enlarge: list[nn.Module] = []
        for factor in enlargement_steps("EDSR", scale):
            enlarge += [
                nn.Conv2d(channels, channels * factor**2, 3, padding=1),
                nn.PixelShuffle(factor),
            ]
        self.tail = nn.Sequential(*enlarge, nn.Conv2d(channels, 3, 3, padding=1))
        self.add_mean = ChannelOffset(DIV2K_MEAN)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        shallow = self.head(self.subtract_mean(low_res))
        deep = shallow + self.body(shallow)
        return self.clip(self.add_mean(self.tail(deep)))
