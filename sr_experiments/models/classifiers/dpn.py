"""Dual path networks (Chen et al., 2017, arXiv:1707.01629), as the mini-batch paper ran them.

A block's output has two paths: the first channels are added to the input, as in a ResNet, and
the others are put beside what came before, as in a DenseNet. This is the form of the code base
that the mini-batch paper names (kuangliu/pytorch-cifar): normalisation and ReLU behind each
convolution, a first convolution of 3x3 without a stride, which suits 32x32 pictures, and so
34,236,634 parameters for DPN-92. The published network normalises before its convolutions; timm
has that one, see `TimmCifar` (34,998,602 with the same first layer).

The mean over the last picture is taken over all of it, so any size will do.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers.base import Classifier

__all__ = ["DPN"]

STRIDES = (1, 2, 2, 2)
GROUPS = 32
STEM = 64  # channels of the first convolution


class DPN(Classifier):
    """Four stages of dual path blocks.

    Args:
        classes: See `Classifier`.
        size: See `Classifier`.
        blocks: Blocks of each stage.
        widths: Channels inside the blocks of each stage, a multiple of 32.
        residual: Channels of each stage that are added.
        growth: Channels that each block of a stage puts beside the others.
        outputs: See `Classifier`.

    Raises:
        UserError: A list has not one value for each of the four stages.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: int = 32,
        blocks: Sequence[int] = (3, 4, 20, 3),
        widths: Sequence[int] = (96, 192, 384, 768),
        residual: Sequence[int] = (256, 512, 1024, 2048),
        growth: Sequence[int] = (16, 32, 24, 128),
        outputs: int | None = None,
    ) -> None:
        super().__init__(classes, size, outputs)
        options = {"blocks": blocks, "widths": widths, "residual": residual, "growth": growth}
        for key, values in options.items():
            if len(values) != len(STRIDES) or min(values) < 1:
                raise UserError(f"model.{key}={list(values)}: give a number from 1 for each stage")
        if any(width % GROUPS for width in widths):
            raise UserError(f"model.widths={list(widths)} are not multiples of {GROUPS}")
        self.conv = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(STEM)
        self.stages = nn.Sequential()
        before = STEM
        stages = zip(blocks, widths, residual, growth, STRIDES, strict=True)
        for count, width, added, beside, stride in stages:
            stage = nn.Sequential()
            for index in range(count):
                first = index == 0
                stage.append(
                    DualPath(before, width, added, beside, stride if first else 1, first=first)
                )
                before = added + (2 + index) * beside
            self.stages.append(stage)
        self.head = nn.Linear(before, self.outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, H, W)."""
        features: Tensor = self.stages(F.relu(self.norm(self.conv(images))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class DualPath(nn.Module):
    """A bottleneck whose output is partly added and partly put beside.

    Args:
        in_channels: Of the input.
        width: Inside.
        added: Channels that are added to the input's first ones.
        beside: Channels that are put beside.
        stride: Of the grouped convolution.
        first: The first block of a stage, which brings its input to the stage's shape.

    Shape:
        (N, in_channels, H, W) to (N, added + k beside, H / stride, W / stride); k is 2 for a
        first block, and one more than that of the input for every other.
    """

    def __init__(
        self, in_channels: int, width: int, added: int, beside: int, stride: int, *, first: bool
    ) -> None:
        super().__init__()
        out = added + beside
        self.added = added
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, groups=GROUPS, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if first:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        kept, new = self.shortcut(images), self.body(images)
        added = kept[:, : self.added] + new[:, : self.added]
        return F.relu(torch.cat([added, kept[:, self.added :], new[:, self.added :]], dim=1))
