"""How the plain networks start, so that no output channel is dead at the clip from the first step.

PyTorch's own random biases leave some dead (``models.health``), and so do features that grow from
layer to layer.
"""

import math

import torch
from torch import nn

from sr_experiments.models.blocks.branches import BranchSum
from sr_experiments.models.blocks.collapsible import Reparameterised

GREY = 0.5
SMALL = 0.1
BESIDE_INPUT = 0.5


def initialise(network: nn.Module) -> None:
    """Glorot-normal kernels and zero biases in every convolution, as NJU-Jet's ABPN.

    Inside a re-parameterised block, where layers follow one another without activation, each
    keeps the variance of its input (1 / fan-in), and parallel branches share it, so that the
    folded kernel starts about as strong as a plain one; half as strong where a block adds its
    input, which would else grow from block to block.
    """
    inside = {
        conv
        for block in network.modules()
        if isinstance(block, Reparameterised)
        for conv in block.modules()
    }
    for module in network.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module in inside:
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
        else:
            nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for block in network.modules():
        if isinstance(block, Reparameterised):
            branches = list(block.branches) if isinstance(block, BranchSum) else [block]
            strength = (BESIDE_INPUT if block.identity else 1.0) / math.sqrt(len(branches))
            for branch in branches:
                _scale(_last_layer(branch), strength)


@torch.no_grad()
def start_as_nearest(enlarge: nn.Module, factor: int) -> None:
    """Let a convolution before pixel shuffle start as one that enlarges by repeating pixels.

    The ``factor ** 2`` neighbours of one pixel start equal (ICNR, Aitken et al., 2017,
    arXiv:1707.02937). Independent random ones begin as a checkerboard, which training must undo.

    Args:
        enlarge: Its last convolution makes ``factor ** 2`` channels for each behind pixel shuffle.
        factor: Of the pixel shuffle.

    Example:
        >>> conv = nn.Conv2d(1, 4, 1)
        >>> start_as_nearest(conv, 2)
        >>> len(set(conv.weight.flatten().tolist()))
        1
    """
    conv = _last_conv(enlarge)
    for parameter in (conv.weight, conv.bias):
        if parameter is not None:
            parameter.copy_(parameter[:: factor**2].repeat_interleave(factor**2, dim=0))


def start_quietly(tail: nn.Module, level: float) -> None:
    """Let the last layer start near a level, inside the clip wherever the features are.

    Args:
        tail: The convolution or block that makes the sub-pixels.
        level: ``GREY`` where nothing is added to them, 0 on top of an anchor.
    """
    conv = _last_conv(tail)
    _scale(conv, SMALL)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, level)


def _last_layer(branch: nn.Module) -> nn.Conv2d | nn.BatchNorm2d:
    """Whose weights decide how strong a branch is: behind a norm, the norm's."""
    kinds = nn.Conv2d | nn.BatchNorm2d
    return [layer for layer in branch.modules() if isinstance(layer, kinds)][-1]


def _last_conv(module: nn.Module) -> nn.Conv2d:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)][-1]


@torch.no_grad()
def _scale(layer: nn.Conv2d | nn.BatchNorm2d, factor: float) -> None:
    layer.weight.mul_(factor)
