"""The small ResNets for 32x32 pictures (He et al., 2016, arXiv:1512.03385, section 4.2).

Three stages of basic blocks at 16, 32 and 64 channels; ``6 num_blocks + 2`` layers, so
``num_blocks=3`` is ResNet-20 with its 0.27 M parameters. Where a stage halves the picture, the
shortcut takes every second pixel and fills the new channels with zeros (the paper's option A),
so no shortcut has weights. The default is one block a stage, which two cores train in minutes.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers.base import Classifier

__all__ = ["CifarResNet"]

STAGES = 3


class CifarResNet(Classifier):
    """Basic blocks in three stages.

    Args:
        classes: See `Classifier`.
        size: See `Classifier`.
        num_blocks: Blocks of each stage.
        channels: Of the first stage, doubled in each that follows.
        outputs: See `Classifier`.

    Raises:
        UserError: A number is below 1.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: int = 32,
        num_blocks: int = 1,
        channels: int = 16,
        outputs: int | None = None,
    ) -> None:
        super().__init__(classes, size, outputs)
        for key, value in (("num_blocks", num_blocks), ("channels", channels)):
            if value < 1:
                raise UserError(f"model.{key}={value} is below 1")
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.blocks = nn.Sequential()
        before = channels
        for stage in range(STAGES):
            width = channels << stage
            for index in range(num_blocks):
                self.blocks.append(Basic(before, width, 2 if stage and not index else 1))
                before = width
        self.head = nn.Linear(before, self.outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, H, W)."""
        features: Tensor = self.blocks(self.stem(images))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut without weights.

    Args:
        in_channels: Of the input.
        out_channels: Of the output, not fewer.
        stride: Of the first convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, out_channels - in_channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        kept = images[:, :, :: self.stride, :: self.stride]
        return F.relu(F.pad(kept, (0, 0, 0, 0, 0, self.extra)) + self.body(images))
