"""KLN (Noahtcv at Mobile AI 2022, arXiv:2211.05910, 4.25): a network learns the skip's kernel.

Seven convolutions make the details; the global skip is one convolution (ConvK) whose kernel a
second network, the kernel-learning network, makes from the training patches. After training that
network is dropped and the kernel it arrived at stays: 27 channels at x3.

Widths, ConvK's kernel size and figure 24 are not in the text. Chosen: 28 channels, as ABPN; 3x3
for ConvK. The kernel-learning network has the stated three convolutions of stride 2 and nine
linear layers, 32 wide, on the patches' average, a ReLU after each but the last: a kernel for
enlargement has both signs (bicubic's has). It starts at nearest neighbour. "Frequencies" as its
input are optional and left out.

One kernel serves the whole batch, the mean over its patches, and what is kept is the moving
average of these kernels: the one that evaluation, quantisation and the file use.
"""

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.functional.kernels import enlarge_kernel
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import Collapsible, initialise, make_conv
from sr_experiments.models.blocks.anchor import COLOURS, nearest_kernel
from sr_experiments.models.blocks.widths import Widths, hidden_widths

KERNEL_SIZE = 3
WIDTH = 32
NUM_CONVS = 3
NUM_LINEAR = 9
MOMENTUM = 0.01  # of the moving average: the last few hundred batches
START = 1e-3  # deviation of the last layer's weights, so that it starts at nearest neighbour


class KLN(SRModel):
    """The network of team Noahtcv.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers, or one for each.
        num_blocks: Convolutions between the first and the last.
        clip_output: Clip to [0, 1]; the report does not say.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    batch_independent: ClassVar[bool] = False
    reason: ClassVar[str] = "while it trains, the skip's kernel is learned from the whole batch"

    def __init__(
        self,
        scale: int = 3,
        channels: Widths = 28,
        num_blocks: int = 5,
        clip_output: bool = True,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        widths = hidden_widths(channels, num_blocks + 1)
        layers = [make_conv("conv", 3, widths[0]), nn.ReLU()]
        for before, width in pairwise(widths):
            layers += [make_conv(block, before, width), nn.ReLU()]
        self.body = nn.Sequential(*layers, make_conv("conv", widths[-1], 3 * scale**2))
        initialise(self)
        self.skip = _ConvK(scale)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        enlarged = self.body(low_res) + self.skip(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction


class _ConvK(Collapsible):
    """A convolution whose kernel is learned from its input while it trains, then kept.

    Shape:
        (N, 3, H, W) to (N, 3 * scale^2, H, W).
    """

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        start = enlarge_kernel(nearest_kernel(scale**2), KERNEL_SIZE)
        self.register_buffer("kernel", start)
        layers: list[nn.Module] = []
        for index in range(NUM_CONVS):
            conv = nn.Conv2d(WIDTH if index else COLOURS, WIDTH, 3, stride=2, padding=1)
            layers += [conv, nn.ReLU()]
        layers.append(nn.AdaptiveAvgPool2d(1))
        for _ in range(NUM_LINEAR - 1):
            layers += [nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU()]
        last = nn.Conv2d(WIDTH, start.numel(), 1)
        self.learner = nn.Sequential(*layers, last)
        initialise(self.learner)
        nn.init.normal_(last.weight, std=START)
        assert last.bias is not None
        last.bias.data.copy_(start.flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the kernel of this batch in training, with the kept one otherwise."""
        kernel = self.kernel
        if self.training:
            kernel = self.learner(x).mean(dim=0).view_as(self.kernel)
            with torch.no_grad():
                self.kernel.lerp_(kernel, MOMENTUM)
        return F.conv2d(x, kernel, padding=KERNEL_SIZE // 2)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The kernel that was kept, and zeros."""
        return self.kernel, self.kernel.new_zeros(len(self.kernel))

    def collapse(self) -> nn.Module:
        """ConvK as it stays, whatever else goes on training."""
        return super().collapse().requires_grad_(False)
