"""ECB, edge-oriented convolution block (ECBSR, Zhang et al., ACM MM 2021; xindongzhang/ECBSR).

Beside a 3x3 convolution and a wide 1x1-3x3 pair, three branches look through fixed edge filters
(Sobel in both directions, Laplacian) of which the strength alone is learned.

Deviation: the 1x1 before an edge filter has no bias. The filters sum to zero, so theirs never
reached the output, nor a gradient it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.blocks.branches import BranchSum, Pair
from sr_experiments.models.blocks.collapsible import Collapsible

Filter = tuple[tuple[float, float, float], ...]
SOBEL_X: Filter = ((1, 0, -1), (2, 0, -2), (1, 0, -1))
SOBEL_Y: Filter = ((1, 2, 1), (0, 0, 0), (-1, -2, -1))
LAPLACIAN: Filter = ((0, 1, 0), (1, -4, 1), (0, 1, 0))

START = 1e-3  # deviation of strengths and offsets at the start, as in the repository


class EdgeBranch(Collapsible):
    """1x1 convolution, then the same fixed 3x3 filter in each channel at its own strength.

    Shape:
        (N, channels_in, H, W) to (N, channels_out, H, W).
    """

    edge: Tensor

    def __init__(self, channels_in: int, channels_out: int, edge: Filter) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.strength = nn.Parameter(START * torch.randn(channels_out))
        self.offset = nn.Parameter(START * torch.randn(channels_out))
        self.register_buffer("edge", torch.tensor(edge), persistent=False)

    def _filters(self) -> Tensor:
        return self.strength.view(-1, 1, 1, 1) * self.edge

    def forward(self, x: Tensor) -> Tensor:
        """Mix and filter."""
        filters = self._filters()
        return F.conv2d(self.mix(x), filters, self.offset, padding=1, groups=len(filters))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Both as one 3x3 kernel."""
        return self.mix.weight * self._filters(), self.offset


class ECB(BranchSum):
    """3x3; 1x1 to ``ratio`` times the channels, then 3x3; three edge branches; the input.

    Args:
        channels_in: Channels read.
        channels_out: Channels made; the input is added only if they are as many.
        kernel_size: 3, the size of the edge filters.
        ratio: Widening inside the 1x1-3x3 pair.
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
        if kernel_size != 3:
            raise UserError(f"ECB's edge filters are 3x3: kernel_size={kernel_size} is not.")
        branches = [
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            Pair(channels_in, ratio * channels_out, channels_out, (1, 3)),
            *(EdgeBranch(channels_in, channels_out, e) for e in (SOBEL_X, SOBEL_Y, LAPLACIAN)),
        ]
        super().__init__(branches, kernel_size, channels_in == channels_out, online)
