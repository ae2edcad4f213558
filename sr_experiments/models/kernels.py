"""The kernels of a network that train and ship, whatever form they train in.

A block that folds counts as the kernel it folds to: that is what an INT8 file holds. Kernels
that never train (a frozen anchor), and networks that are dropped before shipping (KLN's), are
none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sr_experiments.models.blocks.collapsible import Collapsible, kernel_of, set_kernel


@dataclass(frozen=True)
class TrainedKernel:
    """One kernel of a network.

    Attributes:
        name: Path of the layer in the network.
        layer: A convolution, transposed or not, or a block that folds to one.
    """

    name: str
    layer: nn.Module

    def read(self) -> Tensor:
        """The kernel as it is now, ``(out, in / groups, K, K)``, differentiable."""
        if isinstance(self.layer, nn.ConvTranspose2d):
            return self.layer.weight.transpose(0, 1)
        return kernel_of(self.layer)[0]

    @torch.no_grad()
    def write(self, weight: Tensor) -> None:
        """Replace the kernel by one of the same shape; the bias stays."""
        if isinstance(self.layer, nn.ConvTranspose2d):
            self.layer.weight.copy_(weight.transpose(0, 1))
        else:
            set_kernel(self.layer, weight, kernel_of(self.layer)[1])


def trained_kernels(network: nn.Module) -> list[TrainedKernel]:
    """Every kernel of a network that trains and ships, in the order of its modules."""
    with torch.enable_grad():
        return list(_walk(network, ""))


def _walk(module: nn.Module, name: str) -> Iterator[TrainedKernel]:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        if module.weight.requires_grad:
            yield TrainedKernel(name, module)
        return
    if isinstance(module, Collapsible):
        if module.settable:
            if any(parameter.requires_grad for parameter in module.parameters()):
                yield TrainedKernel(name, module)
            return
        if not module.folded()[0].requires_grad:
            return
    for child, inner in module.named_children():
        yield from _walk(inner, f"{name}.{child}" if name else child)
