"""Blocks whose branches end in a batch norm: DBB, and RepVGG as published.

DBB (Ding et al., 2021, arXiv:2103.13425; DingXiaoH/DiverseBranchBlock) sums KxK, 1x1,
[1x1, KxK] and [1x1, average pooling], every layer with its own norm. RepVGG (arXiv:2101.03697)
sums KxK, 1x1 and the input, each behind a norm.

They fold with the running statistics, so the kernel is that of the network in evaluation mode;
the batch's own statistics, with which it trains, belong to no kernel, and there is no online
form. What a norm makes of zero pads the map before the second layer of a branch, which keeps
the borders exact.

Deviation: DBB's repository writes the first 1x1 as identity plus 1x1; here it is the 1x1.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.functional.folding import fold_batch_norm
from sr_experiments.functional.kernels import compose_kernels, identity_kernel
from sr_experiments.models.blocks.branches import BranchSum
from sr_experiments.models.blocks.collapsible import Collapsible


class Normed(Collapsible):
    """A convolution without bias, then a batch norm.

    Args:
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the kernel.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    settable: ClassVar[bool] = True

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise."""
        y: Tensor = self.norm(self.conv(x))
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Both as one kernel, of evaluation mode."""
        return _fold(self.conv.weight, self.norm)

    @torch.no_grad()
    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change the convolution and the norm's shift."""
        factor = _fold(torch.ones_like(weight[:, :1, :1, :1]), self.norm)[0]
        self.conv.weight.copy_(weight / factor)
        self.norm.bias.add_(bias - self.folded()[1])


class NormedIdentity(Collapsible):
    """A batch norm of the input, as a convolution that passes each channel on.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        y: Tensor = self.norm(x)
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """The 1x1 kernel of evaluation mode."""
        return _fold(identity_kernel(self.norm.num_features, 1, self.norm.weight), self.norm)


class NormedPair(Collapsible):
    """1x1 and norm, then a KxK convolution or average pooling and norm.

    Args:
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the second kernel.
        average: Pool in place of the second convolution.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, average: bool
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        width = channels_out if average else channels_in
        self.first = Normed(channels_in, width, 1)
        self.second: nn.Module
        if average:
            self.second = nn.AvgPool2d(kernel_size, stride=1)
        else:
            self.second = nn.Conv2d(width, channels_out, kernel_size, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Run both layers, the border between them filled with what the first makes of zero."""
        pad = (self.kernel_size // 2,) * 4
        border = self.first.folded()[1].view(1, -1, 1, 1)
        inside = F.pad(torch.ones_like(x[:1, :1]), pad)
        middle = F.pad(self.first(x), pad) + (1 - inside) * border
        y: Tensor = self.norm(self.second(middle))
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Both layers as one kernel, of evaluation mode."""
        if isinstance(self.second, nn.Conv2d):
            kernel = self.second.weight
        else:
            channels, size = self.norm.num_features, self.kernel_size
            one = self.norm.weight.new_ones(size, size) / size**2
            kernel = identity_kernel(channels, 1, one) * one
        return compose_kernels(self.first.folded(), _fold(kernel, self.norm))


class DBB(BranchSum):
    """KxK, 1x1, [1x1, KxK] and [1x1, average pooling], every layer behind a batch norm.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int = 3) -> None:
        branches = [
            Normed(channels_in, channels_out, kernel_size),
            Normed(channels_in, channels_out, 1),
            NormedPair(channels_in, channels_out, kernel_size, average=False),
            NormedPair(channels_in, channels_out, kernel_size, average=True),
        ]
        super().__init__(branches, kernel_size, identity=False)


class NormedRepVGG(BranchSum):
    """KxK, 1x1 and, where as many channels leave as enter, the input, each behind a norm.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int = 3) -> None:
        branches: list[nn.Module] = [
            Normed(channels_in, channels_out, kernel_size),
            Normed(channels_in, channels_out, 1),
        ]
        if channels_in == channels_out:
            branches.append(NormedIdentity(channels_in))
        super().__init__(branches, kernel_size, identity=False)


def _fold(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return fold_batch_norm(
        weight, None, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps
    )
