"""IMDN (Hui et al., 2019, arXiv:1909.11856): information multi-distillation.

Each block sets a quarter of its channels aside after every convolution and refines the rest;
what was set aside is joined, weighted by attention that looks at contrast (mean plus standard
deviation of a channel) instead of the mean alone, and added to the block's input. The outputs of
all blocks are joined too.

Six blocks, as the authors' code (Zheng222/IMDN), have 694,404 (x2), 703,059 (x3) and 715,176
(x4) parameters, the paper's 694K to 715K. The XLSR paper's table 1 says 500K; its nearest form
has four blocks (``num_blocks=4``, 486,827).

Initialisation is PyTorch's own, as in the authors' code, but for a bias inside the attention: the
four ReLUs there see one value of a picture each, much the same in all pictures, and where all four
start shut, which random signs do to one block in sixteen, they have no gradient to open by.
"""

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel

SLOPE = 0.05
DISTILLED = 4  # one channel in four is set aside
REDUCTION = 16  # of the channels inside the attention
OPEN = 0.5  # bias before its ReLUs


class IMDN(SRModel):
    """Six blocks, 64 wide.

    Args:
        scale: Enlargement.
        channels: Width, a multiple of 16.
        num_blocks: Distillation blocks.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 6,
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        if channels % REDUCTION:
            raise UserError(f"model.channels={channels} is no multiple of {REDUCTION}.")
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(_DistillationBlock(channels) for _ in range(num_blocks))
        self.fuse = nn.Sequential(
            nn.Conv2d(num_blocks * channels, channels, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.tail = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        features = shallow = self.head(low_res)
        outputs = []
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        deep = shallow + self.fuse(torch.cat(outputs, dim=1))
        prediction: Tensor = self.shuffle(self.clip(self.tail(deep)))
        return prediction


class _DistillationBlock(nn.Module):
    """Four convolutions in a row, each of the channels that the one before did not set aside.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aside = channels // DISTILLED
        self.onward = channels - self.aside
        self.convs = nn.ModuleList(
            nn.Conv2d(self.onward if index else channels, channels, 3, padding=1)
            for index in range(DISTILLED - 1)
        )
        self.last = nn.Conv2d(self.onward, self.aside, 3, padding=1)
        self.activation = nn.LeakyReLU(SLOPE)
        self.attention = _ContrastAttention(channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Distil, weigh, mix and add the input."""
        remaining, kept = x, []
        for conv in self.convs:
            aside, remaining = torch.split(
                self.activation(conv(remaining)), [self.aside, self.onward], dim=1
            )
            kept.append(aside)
        joined = torch.cat([*kept, self.last(remaining)], dim=1)
        y: Tensor = x + self.mix(self.attention(joined))
        return y


class _ContrastAttention(nn.Module):
    """Weighs each channel by what two 1x1 convolutions make of mean plus standard deviation.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = nn.Conv2d(channels, channels // REDUCTION, 1)
        assert narrow.bias is not None
        nn.init.constant_(narrow.bias, OPEN)
        self.weigh = nn.Sequential(
            narrow,
            nn.ReLU(),
            nn.Conv2d(channels // REDUCTION, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels; torch's own deviation has no infinite gradient at zero."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        deviation = x.std(dim=(2, 3), correction=0, keepdim=True)
        weights: Tensor = self.weigh(mean + deviation)
        return x * weights
