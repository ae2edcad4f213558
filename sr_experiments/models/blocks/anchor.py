"""The residual path of anchor-based networks: an enlargement that is still in channels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.kernels import enlarge_kernel
from sr_experiments.models.blocks.collapsible import Collapsible
from sr_experiments.models.blocks.repeat_channels import RepeatChannels

COLOURS = 3


def nearest_kernel(times: int) -> Tensor:
    """1x1 kernel ``(3 * times, 3, 1, 1)`` that repeats each colour ``times`` times in a row."""
    return torch.eye(COLOURS).repeat_interleave(times, dim=0)[:, :, None, None]


class NearestConv(Collapsible):
    """The anchor as a frozen 1x1 convolution (NCNet, MegSR): faster on NPUs than copies are.

    Nothing to train and nothing in the state dict.

    Args:
        times: Copies of each colour, ``scale^2``.

    Shape:
        (N, 3, H, W) to (N, 3 * times, H, W).
    """

    kernel: Tensor

    def __init__(self, times: int) -> None:
        super().__init__()
        self.register_buffer("kernel", nearest_kernel(times), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Repeat the colours."""
        return F.conv2d(x, self.kernel)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The frozen kernel, and zeros."""
        return self.kernel, self.kernel.new_zeros(len(self.kernel))

    def collapse(self) -> nn.Module:
        """The block itself: it is one convolution, and stays frozen."""
        return self


def make_anchor(anchor: str, scale: int) -> nn.Module:
    """The residual path of an anchor-based network.

    Args:
        anchor: ``repeat`` (copies, ABPN), ``nearest`` (a frozen 1x1 convolution), ``conv1`` or
            ``conv3`` (a trained 1x1 or 3x3 one, which starts as the copies it replaces).
        scale: Enlargement.

    Raises:
        UserError: For an unknown anchor.

    Shape:
        (N, 3, H, W) to (N, 3 * scale^2, H, W).
    """
    times = scale**2
    if anchor == "repeat":
        return RepeatChannels(times)
    if anchor == "nearest":
        return NearestConv(times)
    if anchor not in ("conv1", "conv3"):
        raise UserError(f"model.anchor={anchor} is not known: use repeat, nearest, conv1 or conv3.")
    size = int(anchor.removeprefix("conv"))
    conv = nn.Conv2d(COLOURS, COLOURS * times, size, padding=size // 2)
    assert conv.bias is not None
    conv.weight.data.copy_(enlarge_kernel(nearest_kernel(times), size))
    nn.init.zeros_(conv.bias)
    return conv
