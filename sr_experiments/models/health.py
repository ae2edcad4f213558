"""Noticing output channels that died at the clip.

A clipped ReLU gives no gradient outside [0, 1]. A channel whose every value lies outside on
real pictures cannot come back by itself: the network goes on training with a constant in its
place, and the loss does not say so.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from sr_experiments.models.base import SRModel


def dead_output_channels(pre_clip: Tensor, low: float = 0.0, high: float = 1.0) -> list[int]:
    """Channels that give no gradient anywhere through a clip to [low, high].

    Args:
        pre_clip: (N, C, H, W), what goes into the clip, from a real picture: a black one says
            nothing.
        low: Lower end of the clip.
        high: Upper end of the clip.

    Returns:
        Their indices, ascending.

    Example:
        >>> import torch
        >>> dead_output_channels(torch.tensor([[[[0.5, 2.0]], [[-1.0, 2.0]]]]))
        [1]
    """
    alive = ((pre_clip >= low) & (pre_clip <= high)).amax(dim=(0, 2, 3))
    return [int(channel) for channel in (~alive).nonzero()]


@contextmanager
def watch_output_clip(model: SRModel) -> Iterator[set[int]]:
    """Collect the dead output channels of every forward pass inside the ``with``.

    The set holds, after the block, the channels that were dead in all of the passes; it is
    empty for a network with a linear output.

    Example:
        >>> import torch
        >>> from sr_experiments.models import XLSR
        >>> _ = torch.manual_seed(0)
        >>> model = XLSR()
        >>> _ = torch.nn.init.constant_(model.tail.bias[4:5], -9.0)
        >>> with torch.no_grad(), watch_output_clip(model) as dead:
        ...     _ = model(torch.rand(1, 3, 16, 16))
        >>> dead
        {4}
    """
    dead: set[int] = set()
    passes = 0

    def observe(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal passes
        found = set(dead_output_channels(inputs[0].detach()))
        dead.update(found) if passes == 0 else dead.intersection_update(found)
        passes += 1

    if model.output_clip is None:
        yield dead
        return
    handle = model.output_clip.register_forward_pre_hook(observe)
    try:
        yield dead
    finally:
        handle.remove()
