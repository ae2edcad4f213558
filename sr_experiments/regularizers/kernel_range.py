"""Kernel-range regularisation (ICL at Mobile AI 2022, arXiv:2211.05910, 4.21).

The title of ICL's entry names it, and no text defines it. Chosen: the largest absolute weight of
each kernel that ships, since that is what an INT8 file's symmetric scale is made of (scale =
largest / 127): a smaller one makes all steps of that kernel finer. It is the L-infinity form of
range restriction (Kundu et al., 2023, arXiv:2303.08253), which those authors found best for
symmetric quantisation, with two choices of ours:

- It is taken per output channel, as the scales are, or per kernel, for NPUs with one scale.
- It reads the folded kernels. A re-parameterised block's own weights say little of its range:
  the added identity alone puts a 1 beside weights of a twentieth.
"""

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.kernels import trained_kernels


class KernelRange(nn.Module):
    """``weight`` times the sum over kernels of their largest absolute weight.

    Args:
        weight: Of the term. The sum of a trained ABPN is about 3, its Charbonnier loss 0.1.
        per_channel: Mean over the largest of every output channel, rather than of the kernel.

    Raises:
        UserError: The weight is not positive.
    """

    def __init__(self, weight: float = 1e-3, per_channel: bool = True) -> None:
        super().__init__()
        if not weight > 0:
            raise UserError(
                f"task.regularizers.kernel_range.weight={weight} is not above 0; leave the "
                "regulariser out instead"
            )
        self.weight = weight
        self.per_channel = per_channel

    def forward(self, network: nn.Module) -> Tensor:
        """The term of a network as it is now.

        Raises:
            UserError: Nothing in it trains and ships.
        """
        ranges = [self._range(kernel.read()) for kernel in trained_kernels(network)]
        if not ranges:
            raise UserError(
                f"task.regularizers.kernel_range: {type(network).__name__} has no kernel to "
                "train; leave the regulariser out"
            )
        return self.weight * torch.stack(ranges).sum()

    def _range(self, kernel: Tensor) -> Tensor:
        size = kernel.abs()
        return size.flatten(1).amax(dim=1).mean() if self.per_channel else size.max()
