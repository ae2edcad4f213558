"""Swift-SRGAN (Krishnan and Krishnan, 2021, arXiv:2111.14320): SRResNet of separable convolutions.

Each convolution of SRGAN's generator becomes a depthwise one and a 1x1 across the channels, which
makes the network an eighth as large.

The paper's text leaves the sizes to figure 2, and the authors' code (Koushik0901/Swift-SRGAN)
differs from the figure: the code enlarges with 3x3 kernels, the figure with 9x9
(``enlarge_kernel=9``), and the code squashes the output to [0, 1], where the figure ends in the
convolution (``squash_output=false``). The code is the default: its weights are what the paper
measured.

Deviations:
- 200,121 parameters at x4, where the code has 201,209: that counts 1,088 slopes of activations
  that it never calls.
- The code's ``(tanh(x) + 1) / 2`` is written ``sigmoid(2x)``, which it equals: in INT8 one
  operator whose 256 levels are the picture's own.
- The code's x8 enlarges 16 times; here x8 is 8. x3 is one step of three, which it does not have.
- Initialisation is PyTorch's own, as in the code; ``icnr=true`` starts without a checkerboard.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import enlargement_steps, start_as_nearest


class SwiftSRGAN(SRModel):
    """Swift-SRGAN's generator.

    Args:
        scale: 3 or a power of two (which enlarges by 2 several times).
        channels: Width.
        num_blocks: Residual blocks.
        enlarge_kernel: Side of the depthwise kernels that enlarge; 3 in the code, 9 in the
            figure.
        per_channel_slopes: Give PReLU a slope for each channel, not one in all, which LiteRT's
            INT8 kernels run four times as fast.
        squash_output: End in ``(tanh(x) + 1) / 2``, as the code; False is the figure's linear
            output.
        icnr: Start each enlargement as one that repeats pixels, not as a checkerboard.
        clip_output: Clip the prediction to [0, 1], which a squashed one is already.
    """

    batch_independent: ClassVar[bool] = False
    reason: ClassVar[str] = "while it trains, batch norm uses the statistics of the batch"

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 16,
        enlarge_kernel: int = 3,
        per_channel_slopes: bool = True,
        squash_output: bool = True,
        icnr: bool = False,
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        slopes = channels if per_channel_slopes else 1
        self.squash_output = squash_output
        self.head = nn.Sequential(separable(3, channels, 9), nn.PReLU(slopes))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                separable(channels, channels, 3, bias=False),
                nn.BatchNorm2d(channels),
                nn.PReLU(slopes),
                separable(channels, channels, 3, bias=False),
                nn.BatchNorm2d(channels),
            )
            for _ in range(num_blocks)
        )
        self.trunk = nn.Sequential(
            separable(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)
        )
        enlarge: list[nn.Module] = []
        for factor in enlargement_steps("SwiftSRGAN", scale):
            convs = separable(channels, channels * factor**2, enlarge_kernel)
            if icnr:
                start_as_nearest(convs, factor)
            enlarge += [convs, nn.PixelShuffle(factor), nn.PReLU(slopes)]
        self.tail = nn.Sequential(*enlarge, separable(channels, 3, 9))

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        features = shallow = self.head(low_res)
        for residual in self.blocks:
            features = features + residual(features)
        prediction: Tensor = self.tail(shallow + self.trunk(features))
        if self.squash_output:
            prediction = torch.sigmoid(2 * prediction)
        return self.clip(prediction)


def separable(
    channels_in: int, channels_out: int, kernel_size: int, stride: int = 1, bias: bool = True
) -> nn.Sequential:
    """A depthwise convolution, which carries the stride, and a 1x1 across the channels.

    Args:
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the depthwise kernels.
        stride: Of both axes.
        bias: Of both layers; without where a batch norm follows.

    Example:
        >>> [layer.groups for layer in separable(64, 3, 9)]
        [64, 1]
    """
    return nn.Sequential(
        nn.Conv2d(
            channels_in,
            channels_in,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=channels_in,
            bias=bias,
        ),
        nn.Conv2d(channels_in, channels_out, 1, bias=bias),
    )
