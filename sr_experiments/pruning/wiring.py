"""Which channels of a network can be removed without a trace.

The outputs of a convolution can, if nothing but convolutions reads them, behind activations that
leave zero at zero: a channel that is zero everywhere adds nothing to what is read from it. Where
an addition, a shuffle, a batch norm or the picture itself reads a channel, it has to stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import fx, nn

from sr_experiments.models.blocks import LEAF_MODULES, ClippedReLU, Collapsible
from sr_experiments.models.blocks.collapsible import kernel_of

Channel = tuple[str, int] | None
"""Where one channel of a tensor comes from: path of a convolution and index; None if it stays."""

_KEEP_ZERO = (
    *(nn.ReLU, nn.ReLU6, nn.PReLU, nn.LeakyReLU, nn.SiLU, ClippedReLU),
    *(nn.Identity, nn.Dropout, nn.Dropout2d),
)
_KEEP_ZERO_FUNCTIONS = (torch.relu, F.relu, "relu")


@dataclass(frozen=True)
class Conv:
    """A convolution, or a block that folds to one.

    Attributes:
        name: Its path.
        reads: Where each of its input channels comes from.
        channels: Of its output.
        area: Weights for one pair of an input and an output channel.
        slopes: Paths of the PReLUs with a slope for each of its output channels.
        removable: Whether its output channels can go.
    """

    name: str
    reads: tuple[Channel, ...]
    channels: int
    area: int
    slopes: tuple[str, ...]
    removable: bool


def wiring(network: nn.Module) -> list[Conv]:
    """The convolutions of a network, in the order in which it computes them.

    Those with groups or stride, and transposed ones, are left out: their channels stay.
    """
    walk = _Walk(network)
    return [
        Conv(
            name,
            tuple(channel if _goes(channel, walk.fixed) else None for channel in reads),
            walk.channels[name],
            walk.area[name],
            tuple(walk.slopes.get(name, ())),
            name not in walk.fixed,
        )
        for name, reads in walk.reads.items()
    ]


def _goes(channel: Channel, fixed: set[str]) -> bool:
    return channel is not None and channel[0] not in fixed


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAF_MODULES) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """Follows every channel through the network; None is a tensor of which nothing can go."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = dict(network.named_modules())
        self.reads: dict[str, tuple[Channel, ...]] = {}
        self.channels: dict[str, int] = {}
        self.area: dict[str, int] = {}
        self.slopes: dict[str, list[str]] = {}
        self.fixed: set[str] = set()
        tensors: dict[fx.Node, Sequence[Channel] | None] = {}
        for node in _Tracer().trace(network).nodes:
            inputs = [tensors[item] for item in node.all_input_nodes]
            tensors[node] = self._output(node, inputs)

    def _output(
        self, node: fx.Node, inputs: list[Sequence[Channel] | None]
    ) -> Sequence[Channel] | None:
        if node.op == "placeholder":
            return [None] * 3
        if node.target in (torch.cat, torch.concat) and None not in inputs:
            return [channel for channels in inputs for channel in channels or ()]
        if node.target in _KEEP_ZERO_FUNCTIONS:
            return inputs[0]
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            if isinstance(module, nn.PReLU) and module.num_parameters > 1:
                return self._sloped(str(node.target), inputs[0])
            if isinstance(module, _KEEP_ZERO):
                return inputs[0]
            if _is_plain(module):
                return self._convolved(str(node.target), inputs[0])
        for channels in inputs:
            self._fix(channels)
        return None

    def _convolved(self, name: str, channels: Sequence[Channel] | None) -> Sequence[Channel]:
        weight, _ = kernel_of(self.modules[name])
        if name in self.reads:  # used twice
            self._fix(channels)
            self._fix(self.reads[name])
            self.fixed.add(name)
        self.reads[name] = tuple(channels or [None] * weight.shape[1])
        self.channels[name], self.area[name] = len(weight), weight[0, 0].numel()
        return [(name, index) for index in range(len(weight))]

    def _sloped(self, name: str, channels: Sequence[Channel] | None) -> Sequence[Channel] | None:
        sources = {channel[0] for channel in channels or () if channel is not None}
        if len(sources) == 1 and None not in (channels or ()):
            self.slopes.setdefault(sources.pop(), []).append(name)
        else:
            self._fix(channels)
        return channels

    def _fix(self, channels: Sequence[Channel] | None) -> None:
        self.fixed |= {channel[0] for channel in channels or () if channel is not None}


def _is_plain(module: nn.Module) -> bool:
    """Whether kernel rows and columns are all that removing channels changes."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1
    if not isinstance(module, Collapsible) or not module.settable or module.groups != 1:
        return False
    return not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
