"""Blocks that are a sum of convolutions: RepVGG style, ECNUSR's, Vccip's, and what others need.

- RepVGG style (arXiv:2101.03697, without its batch norms): KxK, 1x1, identity.
- ECNUSR (ECNUSR/PureConvSR-AIM2022, trial 24): two parallel [KxK to twice the channels, 1x1
  back], identity.
- Vccip (Mobile AI 2022 report, 4.9; its figure is not in the text): "sequences of convolutions,
  multi-scale convolutions and residual structures" is read as KxK, 1x1, [1x1, KxK], identity.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.functional.kernels import (
    compose_kernels,
    enlarge_kernel,
    identity_kernel,
    spread,
)
from sr_experiments.models.blocks.collapsible import (
    Collapsible,
    Reparameterised,
    kernel_of,
    set_kernel,
)


class Pair(Collapsible):
    """Two convolutions in a row, of which one is 1x1.

    Args:
        channels_in: Channels read.
        width: Channels between the two.
        channels_out: Channels made.
        sizes: Sides of the two kernels, the larger one odd.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    settable: ClassVar[bool] = True

    def __init__(
        self, channels_in: int, width: int, channels_out: int, sizes: tuple[int, int]
    ) -> None:
        super().__init__()
        self.pad = max(sizes) // 2
        self.first = nn.Conv2d(channels_in, width, sizes[0])
        self.second = nn.Conv2d(width, channels_out, sizes[1])

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice; padding the input alone keeps a leading 1x1 exact at the borders."""
        y: Tensor = self.second(self.first(F.pad(x, (self.pad,) * 4)))
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Both as one kernel."""
        return compose_kernels(kernel_of(self.first), kernel_of(self.second))

    @torch.no_grad()
    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change the KxK convolution and the last bias; the 1x1 convolution stays."""
        change = weight - self.folded()[0]
        if self.second.kernel_size == (1, 1):
            self.first.weight += spread(change, self.second.weight, None)
        else:
            self.second.weight += spread(change, None, self.first.weight)
        assert self.second.bias is not None
        self.second.bias += bias - self.folded()[1]


class BranchSum(Reparameterised):
    """Sum of branches, each a same-size convolution or a block that folds to one.

    Args:
        branches: They all read the input; the first has a kernel of full size.
        kernel_size: Side of the largest kernel among them.
        identity: Add the input too.
        online: Run on the folded kernel.

    Shape:
        (N, C_in, H, W) to (N, C_out, H, W).
    """

    def __init__(
        self,
        branches: Sequence[nn.Module],
        kernel_size: int,
        identity: bool,
        online: bool = False,
    ) -> None:
        super().__init__(identity, online)
        self.branches = nn.ModuleList(branches)
        self.kernel_size = kernel_size

    def expanded(self, x: Tensor) -> Tensor:
        """Sum of the branches' outputs."""
        outputs = [branch(x) for branch in self.branches]
        return sum(outputs, start=x) if self.identity else sum(outputs[1:], start=outputs[0])

    def folded(self) -> tuple[Tensor, Tensor]:
        """Sum of the branches' kernels."""
        kernels = [kernel_of(branch) for branch in self.branches]
        size = self.kernel_size
        weight = torch.stack([enlarge_kernel(weight, size) for weight, _ in kernels]).sum(0)
        bias = torch.stack([bias for _, bias in kernels]).sum(0)
        if self.identity:
            weight = weight + identity_kernel(len(weight), size, weight)
        return weight, bias

    @torch.no_grad()
    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change the first branch, which has a kernel of full size."""
        present, first = self.folded(), kernel_of(self.branches[0])
        set_kernel(self.branches[0], first[0] + weight - present[0], first[1] + bias - present[1])


class RepVGG(BranchSum):
    """KxK, 1x1 and, where as many channels leave as enter, the input."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int = 3, online: bool = False
    ) -> None:
        large = nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)
        small = nn.Conv2d(channels_in, channels_out, 1)
        super().__init__([large, small], kernel_size, channels_in == channels_out, online)


class ECNUSRBlock(BranchSum):
    """Two parallel [KxK to twice the channels, 1x1 back] and, where it fits, the input."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int = 3, online: bool = False
    ) -> None:
        width = 2 * channels_out
        pairs = [Pair(channels_in, width, channels_out, (kernel_size, 1)) for _ in range(2)]
        super().__init__(pairs, kernel_size, channels_in == channels_out, online)


class VccipBlock(BranchSum):
    """KxK, 1x1, [1x1, KxK] and, where it fits, the input."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int = 3, online: bool = False
    ) -> None:
        branches = [
            nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2),
            nn.Conv2d(channels_in, channels_out, 1),
            Pair(channels_in, channels_out, channels_out, (1, kernel_size)),
        ]
        super().__init__(branches, kernel_size, channels_in == channels_out, online)
