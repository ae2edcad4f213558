"""A convolution by the name of the block that trains in its place: the option ``block``."""

from collections.abc import Callable
from functools import partial

from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.models.blocks.branches import ECNUSRBlock, RepVGG, VccipBlock
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock
from sr_experiments.models.blocks.ecb import ECB
from sr_experiments.models.blocks.normed import DBB, NormedRepVGG
from sr_experiments.models.blocks.rrrb import RRRB


def _conv(channels_in: int, channels_out: int, kernel_size: int) -> nn.Module:
    return nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)


_FOLDABLE: dict[str, Callable[..., nn.Module]] = {
    "clb": CollapsibleLinearBlock,
    "clb3": partial(CollapsibleLinearBlock, layers=3),
    "repblock": partial(CollapsibleLinearBlock, shortcut=True),
    "ecnusr": ECNUSRBlock,
    "rrrb": RRRB,
    "repvgg": RepVGG,
    "vccip": VccipBlock,
    "ecb": ECB,
}

BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "conv": _conv,
    **_FOLDABLE,
    **{f"{name}_online": partial(block, online=True) for name, block in _FOLDABLE.items()},
    "dbb": DBB,
    "repvgg_bn": NormedRepVGG,
}
"""What ``block`` may be. Each but those with batch norm also has an ``_online`` form, which runs
on the folded kernel at every step: the same function and gradients, several times faster for the
wide ones, so that the networks of papers with such blocks have it as their default."""


def make_conv(block: str, channels_in: int, channels_out: int, kernel_size: int = 3) -> nn.Module:
    """A same-size convolution with bias, or the block that trains in its place.

    Args:
        block: ``conv`` or the name of a block in ``BLOCKS``.
        channels_in: Channels read.
        channels_out: Channels made.
        kernel_size: Odd side of the kernel that ships.

    Raises:
        UserError: For an unknown block, naming those that are known.

    Example:
        >>> from sr_experiments.models import collapse
        >>> block = nn.Sequential(make_conv("rrrb", 28, 28))
        >>> collapse(block)[0]
        Conv2d(28, 28, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """
    if block not in BLOCKS:
        raise UserError(f"model.block={block} is not known: use one of {', '.join(BLOCKS)}.")
    return BLOCKS[block](channels_in, channels_out, kernel_size)
