"""RepGSR (Mobile AI 2022, arXiv:2211.05910, 4.20): ghost features, re-parameterised.

A ghost block computes half of its features from the input and the other half, the ghosts, from
the first half; here every convolution in it trains as a wide linear block that folds.

Eight blocks, 28 channels, ghost rate 0.5 and expansion 16 are stated; the wiring is in a figure
that the text does not hold. Of the readings, [28 to 14, 14 to 14, concatenate, 1x1 28 to 28]
makes an INT8 file of 88 to 106 KiB, where table 1 prints 90 (28 to 14, 14 to 28: 87 to 101; none
with one convolution a block fits), and its many operators suit the slow CPU time. Both halves
have a ReLU; the 1x1 that mixes them has none, as in XLSR's blocks. The wide blocks add their
input where it fits, and each ghost block adds its own, as GhostNet's bottleneck does: a chain of
26 convolutions without any such path was still 6 dB below bicubic after 3,500 steps. No anchor is
mentioned. Clip: not stated, on.
"""

import torch
from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import GREY, initialise, start_quietly
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock


class RepGSR(SRModel):
    """The network of team RepGSR.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Ghost blocks.
        expansion: How many times wider than its output a linear block is inside.
        online: Run on the folded kernels, which is faster; False runs the wide blocks.
        clip_output: Clip to [0, 1].
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 28,
        num_blocks: int = 8,
        expansion: int = 16,
        online: bool = True,
        clip_output: bool = True,
    ) -> None:
        super().__init__(scale, clip_output)
        self.head = nn.Sequential(_linear(3, channels, expansion, online), nn.ReLU())
        self.body = nn.Sequential(
            *(_GhostBlock(channels, expansion, online) for _ in range(num_blocks))
        )
        self.tail = _linear(channels, 3 * scale**2, expansion, online)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        for block in self.body:
            _quieten(block)
        start_quietly(self.tail, GREY)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        prediction: Tensor = self.shuffle(self.clip(self.tail(self.body(self.head(low_res)))))
        return prediction


def _quieten(block: nn.Module, factor: float = 0.3) -> None:
    """Let a block start as little more than its input, which eight of them would else outgrow."""
    assert isinstance(block, _GhostBlock)
    with torch.no_grad():
        block.mix.project.weight.mul_(factor)


class _GhostBlock(nn.Module):
    """Rep-GFB: real features, ghosts of them, a 1x1 that mixes both, and the input."""

    def __init__(self, channels: int, expansion: int, online: bool) -> None:
        super().__init__()
        half = channels // 2
        self.real = nn.Sequential(_linear(channels, half, expansion, online), nn.ReLU())
        self.ghost = nn.Sequential(_linear(half, channels - half, expansion, online), nn.ReLU())
        self.mix = _linear(channels, channels, expansion, online, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the features of (N, channels, H, W)."""
        real = self.real(x)
        mixed: Tensor = self.mix(torch.cat([real, self.ghost(real)], dim=1))
        return x + mixed


def _linear(
    channels_in: int, channels_out: int, expansion: int, online: bool, kernel_size: int = 3
) -> CollapsibleLinearBlock:
    """Rep-SLB, the wide linear block."""
    width = expansion * channels_out
    return CollapsibleLinearBlock(
        channels_in, channels_out, kernel_size, width=width, online=online
    )
