"""RRDB (ESRGAN's generator, Wang et al., 2018, arXiv:1809.00219): residuals within residuals.

Dense blocks of five convolutions, each reading everything its block made before; three of them
in a residual block of their own; 23 of those in a third residual. Every residual but the last is
scaled by 0.2, which is what lets so deep a network train without batch norm. Features are
enlarged by nearest neighbour, one 3x3 convolution after each step. 16,697,987 parameters at x4.

x3 and x2 enlarge in one step, as the paper's first code (xinntao/BasicSR); its present
``RRDBNet`` reaches x2 by halving the input of the x4 network instead. The dense blocks' kernels
start He-normal times 0.1 with zero biases, the others as PyTorch's own, as there.
"""

import torch
from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import enlargement_steps

SLOPE = 0.2
RES_SCALE = 0.2
NUM_DENSE = 3  # dense blocks in a residual block
NUM_CONVS = 5  # convolutions in a dense block
START = 0.1  # factor on the dense blocks' He-normal kernels


class RRDB(SRModel):
    """ESRGAN's generator, with 23 blocks.

    Args:
        scale: 3 or a power of two (which enlarges by 2 several times).
        channels: Width.
        growth: Channels that each convolution of a dense block adds.
        num_blocks: Residual blocks of three dense blocks each.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        growth: int = 32,
        num_blocks: int = 23,
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(_ResidualInResidual(channels, growth) for _ in range(num_blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        layers: list[nn.Module] = []
        for factor in enlargement_steps("RRDB", scale):
            layers += [
                nn.Upsample(scale_factor=factor, mode="nearest"),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.LeakyReLU(SLOPE),
            ]
        self.tail = nn.Sequential(
            *layers,
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, 3, 3, padding=1),
        )

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        shallow = self.head(low_res)
        return self.clip(self.tail(shallow + self.body(shallow)))


class _ResidualInResidual(nn.Module):
    """Three dense blocks, scaled and added to their input.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(_DenseBlock(channels, growth) for _ in range(NUM_DENSE)))

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled residual."""
        y: Tensor = x + RES_SCALE * self.dense(x)
        return y


class _DenseBlock(nn.Module):
    """Five convolutions, each reading the input and all outputs before it.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + index * growth, growth, 3, padding=1)
            for index in range(NUM_CONVS - 1)
        )
        self.activation = nn.LeakyReLU(SLOPE)
        self.last = nn.Conv2d(channels + (NUM_CONVS - 1) * growth, channels, 3, padding=1)
        for conv in (*self.convs, self.last):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(START)
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled residual."""
        made = [x]
        for conv in self.convs:
            made.append(self.activation(conv(torch.cat(made, dim=1))))
        y: Tensor = x + RES_SCALE * self.last(torch.cat(made, dim=1))
        return y
