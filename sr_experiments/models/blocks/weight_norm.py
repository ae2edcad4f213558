"""Weight normalisation (Salimans and Kingma, 2016, arXiv:1602.07868), folded where it ships."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.models.blocks.collapsible import Collapsible


class WeightNormConv2d(Collapsible):
    """A same-size convolution whose kernels train as a length and a direction.

    It starts as PyTorch's own convolution does: the lengths are those of its random kernels.

    Args:
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the kernel.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int) -> None:
        super().__init__()
        self.padding = kernel_size // 2
        size = (channels_out, channels_in, kernel_size, kernel_size)
        limit = 1 / math.sqrt(channels_in * kernel_size**2)
        self.direction = nn.Parameter(torch.empty(size).uniform_(-limit, limit))
        self.gain = nn.Parameter(self.direction.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(torch.empty(channels_out).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the kernels at their lengths."""
        weight, bias = self.folded()
        return F.conv2d(x, weight, bias, padding=self.padding)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The kernels at their lengths, and the bias."""
        strength = self.gain / self.direction.flatten(1).norm(dim=1)
        return self.direction * strength.view(-1, 1, 1, 1), self.bias
