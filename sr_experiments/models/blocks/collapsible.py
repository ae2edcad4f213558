"""Blocks that train in one form and ship as a single convolution."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Collapsible(nn.Module, ABC):
    """A block equal to one stride-1 convolution with zero padding of half a kernel.

    A leaf of the tracer: quantisation-aware training reads ``folded()`` at each step, so it
    quantises the kernel that ships while the block's own parameters train.
    """

    groups: int = 1
    settable: ClassVar[bool] = False  # whether there is a ``set_kernel``

    @abstractmethod
    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel (out, in / groups, K, K) and bias (out,), differentiable in the parameters."""

    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change as few parameters as possible, as little as possible, to fold to this kernel.

        Batch norms count with their running statistics.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be given a kernel")

    def collapse(self) -> nn.Module:
        """The block as a plain convolution, equal in output."""
        weight, bias = (tensor.detach() for tensor in self.folded())
        kernel_size = (weight.shape[2], weight.shape[3])
        conv = nn.Conv2d(
            weight.shape[1] * self.groups,
            weight.shape[0],
            kernel_size,
            padding=(kernel_size[0] // 2, kernel_size[1] // 2),
            groups=self.groups,
            device=weight.device,
            dtype=weight.dtype,
        )
        conv.weight.data.copy_(weight)
        assert conv.bias is not None
        conv.bias.data.copy_(bias)
        return conv


class Reparameterised(Collapsible):
    """A block that is wider or has more branches while it trains.

    Args:
        identity: Whether the block adds its input.
        online: Fold at every step and run on the folded kernel: the same function at the cost
            and memory of one convolution, with the gradients of the wide block (Bhardwaj et al.,
            2022, arXiv:2103.09404). False runs the branches themselves.

    Shape:
        (N, C_in, H, W) to (N, C_out, H, W).
    """

    settable: ClassVar[bool] = True

    def __init__(self, identity: bool, online: bool = False) -> None:
        super().__init__()
        self.identity = identity
        self.online = online

    @abstractmethod
    def expanded(self, x: Tensor) -> Tensor:
        """The block's output, made by its branches."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the branches, or the kernel they fold to."""
        if not self.online:
            return self.expanded(x)
        weight, bias = self.folded()
        return F.conv2d(x, weight, bias, padding=(weight.shape[2] // 2, weight.shape[3] // 2))

    def extra_repr(self) -> str:
        """Show which form runs when the module is printed."""
        return f"online={self.online}"


def kernel_of(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution, or of the one that a block folds to."""
    if isinstance(layer, Collapsible):
        return layer.folded()
    assert isinstance(layer, nn.Conv2d)
    if layer.bias is None:
        return layer.weight, layer.weight.new_zeros(layer.out_channels)
    return layer.weight, layer.bias


@torch.no_grad()
def set_kernel(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Let a convolution, or a block, have this kernel: the inverse of ``kernel_of``.

    Args:
        layer: A convolution, or a block that is ``settable``.
        weight: ``(out, in / groups, K, K)``.
        bias: ``(out,)``; of a convolution without bias, zeros.
    """
    if isinstance(layer, Collapsible):
        layer.set_kernel(weight, bias)
        return
    assert isinstance(layer, nn.Conv2d)
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.copy_(bias)
    elif bias.any():
        raise ValueError("a convolution without bias cannot be given one")


class ScaledConv2d(Collapsible):
    """A convolution whose output is multiplied by a constant, EDSR's residual scaling.

    The constant is folded into kernel and bias, so no multiplication reaches the device.

    Args:
        channels: Channels in and out.
        kernel_size: Odd side of the kernel.
        factor: The constant.

    Shape:
        (N, channels, H, W) to the same.
    """

    settable: ClassVar[bool] = True

    def __init__(self, channels: int, kernel_size: int, factor: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.factor = factor

    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias times the factor."""
        assert self.conv.bias is not None
        return self.conv.weight * self.factor, self.conv.bias * self.factor

    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Give the convolution what the factor leaves to do."""
        set_kernel(self.conv, weight / self.factor, bias / self.factor)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and scale."""
        y: Tensor = self.conv(x) * self.factor
        return y
