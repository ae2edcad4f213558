"""Collapsible linear blocks: wide and without activations inside, so one kernel does it all.

Two layers: KxK to ``width``, then 1x1 (SESR, arXiv:2103.09404; KETI's RepBlock with 256 inside,
Ganzooo/LRSRN). Three layers: 1x1 to ``width``, KxK at that width, 1x1 (SESR's optional form, and
the report's description of TCLResearchEurope's: an inverted residual whose depthwise convolution
became a standard one).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.kernels import (
    compose_kernels,
    enlarge_kernel,
    identity_kernel,
    spread,
)
from sr_experiments.models.blocks.collapsible import Reparameterised, kernel_of


class CollapsibleLinearBlock(Reparameterised):
    """Two or three convolutions in a row, and the input added where it fits.

    Args:
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the kernel.
        width: Channels inside.
        layers: 2 or 3.
        identity: Add the input if as many channels leave as enter.
        shortcut: Add a 1x1 convolution of the input if not (KETI's RepBlock V2).
        bias: Give the convolutions biases.
        online: Run on the folded kernel.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int = 3,
        width: int = 256,
        layers: int = 2,
        identity: bool = True,
        shortcut: bool = False,
        bias: bool = True,
        online: bool = False,
    ) -> None:
        same = channels_in == channels_out
        super().__init__(identity and same, online)
        if layers not in (2, 3):
            raise UserError(f"A collapsible linear block has 2 or 3 layers, not {layers}.")
        self.pad = kernel_size // 2
        middle_in = channels_in if layers == 2 else width
        self.squeeze = nn.Conv2d(channels_in, width, 1, bias=bias) if layers == 3 else None
        self.middle = nn.Conv2d(middle_in, width, kernel_size, bias=bias)
        self.project = nn.Conv2d(width, channels_out, 1, bias=bias)
        self.shortcut = (
            nn.Conv2d(channels_in, channels_out, 1, bias=bias) if shortcut and not same else None
        )

    def expanded(self, x: Tensor) -> Tensor:
        """Run the layers; the map before the KxK one is padded with what zeros become."""
        padded = F.pad(x, (self.pad,) * 4)
        if self.squeeze is not None:
            padded = self.squeeze(padded)
        y: Tensor = self.project(self.middle(padded))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return y + x if self.identity else y

    def folded(self) -> tuple[Tensor, Tensor]:
        """All layers as one kernel."""
        kernel = kernel_of(self.middle)
        if self.squeeze is not None:
            kernel = compose_kernels(kernel_of(self.squeeze), kernel)
        weight, bias = compose_kernels(kernel, kernel_of(self.project))
        size = weight.shape[2]
        if self.shortcut is not None:
            straight, straight_bias = kernel_of(self.shortcut)
            weight, bias = weight + enlarge_kernel(straight, size), bias + straight_bias
        if self.identity:
            weight = weight + identity_kernel(len(weight), size, weight)
        return weight, bias

    @torch.no_grad()
    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change the KxK convolution and the last bias; the 1x1 convolutions stay."""
        squeeze = None if self.squeeze is None else self.squeeze.weight
        change = weight - self.folded()[0]
        self.middle.weight += spread(change, self.project.weight, squeeze)
        rest = bias - self.folded()[1]
        if self.project.bias is not None:
            self.project.bias += rest
        elif rest.any():
            raise ValueError("a block without biases cannot be given one")
