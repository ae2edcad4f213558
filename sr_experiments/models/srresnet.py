"""SRResNet (Ledig et al., 2017, arXiv:1609.04802): SRGAN's generator, with batch norm.

Sixteen residual blocks at low resolution, a long skip around them, then one convolution and pixel
shuffle for each doubling; 9x9 convolutions at both ends.

The count of 1,549,462 at x4 has biases in every convolution and one slope in each PReLU; with a
slope for each channel there are 1,550,659 (``per_channel_slopes=true``). SRGAN implementations
with five blocks (leftthomas/SRGAN, 734,219) are ``num_blocks=5``.

Deviations:
- Input and output are in [0, 1]; the paper's output is -1..1, which is the same function with
  another last layer.
- x3 is one step of three, which the paper does not have.
- Initialisation is PyTorch's own; the paper does not state one. ``icnr=true`` starts without a
  checkerboard.
"""

from typing import ClassVar

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import enlargement_steps, start_as_nearest


class SRResNet(SRModel):
    """SRGAN's generator.

    Args:
        scale: 3 or a power of two (which enlarges by 2 several times).
        channels: Width.
        num_blocks: Residual blocks.
        per_channel_slopes: Give PReLU a slope for each channel, not one in all.
        icnr: Start each enlargement as one that repeats pixels, not as a checkerboard.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
    """

    batch_independent: ClassVar[bool] = False
    reason: ClassVar[str] = "while it trains, batch norm uses the statistics of the batch"

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 16,
        per_channel_slopes: bool = False,
        icnr: bool = False,
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        slopes = channels if per_channel_slopes else 1
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU(slopes))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.PReLU(slopes),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
            )
            for _ in range(num_blocks)
        )
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )
        enlarge: list[nn.Module] = []
        for factor in enlargement_steps("SRResNet", scale):
            conv = nn.Conv2d(channels, channels * factor**2, 3, padding=1)
            if icnr:
                start_as_nearest(conv, factor)
            enlarge += [conv, nn.PixelShuffle(factor), nn.PReLU(slopes)]
        self.tail = nn.Sequential(*enlarge, nn.Conv2d(channels, 3, 9, padding=4))

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        features = shallow = self.head(low_res)
        for residual in self.blocks:
            features = features + residual(features)
        return self.clip(self.tail(shallow + self.trunk(features)))
