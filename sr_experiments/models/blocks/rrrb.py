"""RRRB, residual in residual re-parameterisable block (FMEN, arXiv:2204.08397; NJU-Jet/FMEN)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.functional.kernels import compose_kernels, identity_kernel, spread
from sr_experiments.models.blocks.collapsible import Reparameterised, kernel_of


class RRRB(Reparameterised):
    """1x1 to ``ratio`` times the channels; KxK plus its input; 1x1 back; plus the input.

    Args:
        channels_in: Channels read.
        channels_out: Channels made; the outer residual is there only if they are as many.
        kernel_size: Odd side of the kernel.
        ratio: Widening, of the wider end.
        online: Run on the folded kernel.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int = 3,
        ratio: int = 2,
        online: bool = False,
    ) -> None:
        super().__init__(channels_in == channels_out, online)
        self.pad = kernel_size // 2
        width = ratio * max(channels_in, channels_out)
        self.expand = nn.Conv2d(channels_in, width, 1)
        self.middle = nn.Conv2d(width, width, kernel_size)
        self.reduce = nn.Conv2d(width, channels_out, 1)

    def expanded(self, x: Tensor) -> Tensor:
        """Run the three layers and both residuals."""
        wide = self.expand(F.pad(x, (self.pad,) * 4))
        inner = wide[..., self.pad : self.pad + x.shape[-2], self.pad : self.pad + x.shape[-1]]
        y: Tensor = self.reduce(self.middle(wide) + inner)
        return y + x if self.identity else y

    def folded(self) -> tuple[Tensor, Tensor]:
        """All layers and residuals as one kernel."""
        weight, bias = kernel_of(self.middle)
        size = weight.shape[2]
        weight = weight + identity_kernel(len(weight), size, weight)
        kernel = compose_kernels(kernel_of(self.expand), (weight, bias))
        weight, bias = compose_kernels(kernel, kernel_of(self.reduce))
        if self.identity:
            weight = weight + identity_kernel(len(weight), size, weight)
        return weight, bias

    @torch.no_grad()
    def set_kernel(self, weight: Tensor, bias: Tensor) -> None:
        """Change the KxK convolution and the last bias; the 1x1 convolutions stay."""
        change = weight - self.folded()[0]
        self.middle.weight += spread(change, self.reduce.weight, self.expand.weight)
        assert self.reduce.bias is not None
        self.reduce.bias += bias - self.folded()[1]
