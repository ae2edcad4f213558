"""A network without some of its channels, equal in output to one in which they are zero.

The rows of the convolutions that made them go, and the columns of those that read them. It comes
in two forms: folded, as it would ship, for any network; and in the form that trains on, built
anew by its class with a list of widths, ``channels``. A re-parameterised block of other widths
is another block, often narrower inside: it begins at random and is then given the kernel that is
left of the old one (``set_kernel``). That kernel holds the input that the old block added, too;
what the new one adds, if its widths are equal, is taken off.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import SavedModel, SRModel, collapse
from sr_experiments.models.blocks.collapsible import kernel_of, set_kernel
from sr_experiments.pruning.wiring import Channel, Conv, wiring

Keep = Mapping[str, Tensor]
"""For the convolutions of which channels go, by path: which stay, ``(C,)`` of bool."""

WIDTHS = "channels"


def pruned_twin(network: SRModel, keep: Keep) -> SRModel:
    """The folded network without the channels that go.

    Args:
        network: Any network; it is left as it is.
        keep: Which channels stay.
    """
    twin = collapse(network)
    for conv in wiring(network):
        weight, bias, slopes = _left(twin, conv, keep)
        twin.set_submodule(conv.name, _resized(twin.get_submodule(conv.name), weight, bias))
        for name, slope in slopes.items():
            twin.get_submodule(name).weight = nn.Parameter(slope)
    return twin


def _resized(old: nn.Module, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    assert isinstance(old, nn.Conv2d)
    assert old.stride == (1, 1)
    made, read, height, width = weight.shape
    conv = nn.Conv2d(read, made, (height, width), padding=(height // 2, width // 2)).to(weight)
    set_kernel(conv, weight, bias)
    return conv.eval()


def pruned(
    network: SRModel, config: Mapping[str, Any], keep: Keep
) -> tuple[SRModel, dict[str, Any]]:
    """The network without the channels that go, as its class builds it.

    Args:
        network: Folded or not; it is left as it is.
        config: Its ``model`` node.
        keep: Which channels stay.

    Returns:
        The network, and the node that describes it.

    Raises:
        UserError: Its class takes no list of widths.
    """
    convs = wiring(network)
    removable = [conv for conv in convs if conv.removable]
    widths = [_count(conv, keep) for conv in removable]
    described = {**config, WIDTHS: widths}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        smaller = _built(described, network)
    expected = [(conv.name, width) for conv, width in zip(removable, widths, strict=True)]
    if [(conv.name, conv.channels) for conv in wiring(smaller) if conv.removable] != expected:
        raise _refusal(network)
    smaller.to(next(network.parameters()))
    state = network.state_dict()
    shapes = {key: value.shape for key, value in smaller.state_dict().items()}
    same = {key: value for key, value in state.items() if shapes.get(key) == value.shape}
    smaller.load_state_dict(same, strict=False)
    for conv in convs:
        if not _changes(conv, keep):
            continue
        weight, bias, slopes = _left(network, conv, keep)
        set_kernel(smaller.get_submodule(conv.name), weight, bias)
        for name, slope in slopes.items():
            smaller.get_parameter(f"{name}.weight").data.copy_(slope)
    smaller.fresh = network.fresh
    return smaller.train(network.training), described


def _built(config: dict[str, Any], network: SRModel) -> SRModel:
    try:
        return SavedModel(config, network.collapsed, {}, "the pruned network").empty()
    except UserError as error:
        raise _refusal(network) from error


def _refusal(network: SRModel) -> UserError:
    return UserError(
        f"{type(network).__name__} cannot be pruned: it has no width of its own for each hidden "
        "layer (model.channels as a list). Networks that have: rpq, abpn and what derives from it, "
        "emsrnet, hopn, scsrn"
    )


def _count(conv: Conv, keep: Keep) -> int:
    return int(keep[conv.name].sum()) if conv.name in keep else conv.channels


def _changes(conv: Conv, keep: Keep) -> bool:
    read = all(_stays(channel, keep) for channel in conv.reads)
    return not read or _count(conv, keep) < conv.channels


@torch.no_grad()
def _left(network: nn.Module, conv: Conv, keep: Keep) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """What is left of a convolution's kernel and bias, and of the slopes behind it."""
    weight, bias = kernel_of(network.get_submodule(conv.name))
    columns = torch.tensor([_stays(channel, keep) for channel in conv.reads], device=weight.device)
    rows = torch.ones(conv.channels, dtype=torch.bool, device=weight.device)
    if conv.removable and conv.name in keep:
        rows = keep[conv.name].to(weight.device)
    slopes = {name: network.get_parameter(f"{name}.weight")[rows].clone() for name in conv.slopes}
    return weight[rows][:, columns].clone(), bias[rows].clone(), slopes


def _stays(channel: Channel, keep: Keep) -> bool:
    return channel is None or channel[0] not in keep or bool(keep[channel[0]][channel[1]])
