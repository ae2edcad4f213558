"""A constant added to each channel: the mean shift of EDSR and its descendants."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Mean colour of DIV2K's training images in [0, 1] (thstkdgus35/EDSR-PyTorch).
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class ChannelOffset(nn.Module):
    """Add ``values[c]`` to channel ``c``; not trained and not in the state dict.

    Args:
        values: One number a channel, in the units of the input.

    Shape:
        (N, C, H, W) to the same, C = ``len(values)``.
    """

    offset: Tensor

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = tuple(float(value) for value in values)
        self.register_buffer("offset", torch.tensor(self.values).view(1, -1, 1, 1), False)

    def forward(self, x: Tensor) -> Tensor:
        """Add the offset."""
        return x + self.offset

    def extra_repr(self) -> str:
        """Show the constants when the module is printed."""
        return f"values={self.values}"
