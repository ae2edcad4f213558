"""The anchor of ABPN: nearest-neighbour enlargement made of repeated channels."""

import torch
from torch import Tensor, nn


class RepeatChannels(nn.Module):
    """Every channel ``times`` times in a row, the order that ``nn.PixelShuffle`` reads.

    Followed by a pixel shuffle with ``times = scale^2`` it is nearest-neighbour enlargement.
    TensorFlow's order repeats the whole RGB triple instead; the graph permutes (NETWORKS 0.4).

    Shape:
        (N, C, H, W) to (N, C * times, H, W).
    """

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """Repeat along dimension 1."""
        return torch.repeat_interleave(x, self.times, dim=1)

    def extra_repr(self) -> str:
        """Show the count when the module is printed."""
        return f"times={self.times}"
