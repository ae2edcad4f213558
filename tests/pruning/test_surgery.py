"""A pruned network is the network in which the channels are zero, exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import (
    ABPN,
    ESPCN,
    FSRCNN,
    HOPN,
    KLN,
    RPQ,
    SCSRN,
    VDSR,
    XCAT,
    XLSR,
    DoubleZ,
    EMSRNet,
    MobileSR,
    RepGSR,
    SkipSkip,
    SRModel,
    VccipNet,
    collapse,
    load_model,
    save_model,
)
from sr_experiments.pruning import pruned, pruned_twin, wiring

CHAINS: list[tuple[type[SRModel], dict[str, Any]]] = [
    (RPQ, {"channels": 8, "num_blocks": 2}),
    (RPQ, {"channels": 8, "num_blocks": 1, "layers": 2, "online": False}),
    (ABPN, {"channels": 8, "num_blocks": 2}),
    (ABPN, {"channels": 8, "num_blocks": 2, "tail": False, "clip_hidden": "learned"}),
    (ABPN, {"channels": 8, "num_blocks": 1, "block": "ecb", "end_block": "rrrb"}),
    (HOPN, {"channels": 8, "num_blocks": 3, "block": "ecnusr_online"}),
    (EMSRNet, {"channels": 8, "num_blocks": 2, "block": "vccip"}),
    (SCSRN, {"channels": 8, "num_blocks": 2}),
    (DoubleZ, {"channels": 8, "num_blocks": 1}),
    (VccipNet, {"channels": 8, "num_blocks": 2}),
    (KLN, {"channels": 8, "num_blocks": 1}),
]
OTHERS: list[tuple[type[SRModel], dict[str, Any]]] = [
    (ESPCN, {}),
    (FSRCNN, {}),
    (VDSR, {"channels": 8, "num_blocks": 2}),
    (RepGSR, {"channels": 8, "num_blocks": 2}),
    (XLSR, {}),
    (XCAT, {"channels": 8}),
    (MobileSR, {"channels": 8, "num_blocks": 1}),
    (SkipSkip, {"channels": 8, "num_blocks": 1, "activation": "silu"}),
]


def shaken(network: type[SRModel], options: dict[str, Any]) -> SRModel:
    """In double precision, with every parameter where training might leave it."""
    torch.manual_seed(0)
    model = network(**options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def choice(network: nn.Module) -> dict[str, Tensor]:
    """About half of the channels of every convolution, each layer another number."""
    torch.manual_seed(1)
    keep = {}
    for index, conv in enumerate(conv for conv in wiring(network) if conv.removable):
        stays = torch.rand(conv.channels) < 0.5
        stays[index % conv.channels] = True
        keep[conv.name] = stays
    return keep


def masked(network: nn.Module, keep: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the network makes with zeros in the channels that go."""
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _, __, output, stays=stays: output * stays.view(-1, 1, 1)
        )
        for name, stays in keep.items()
    ]
    with torch.no_grad():
        output: Tensor = network(x)
    for handle in handles:
        handle.remove()
    return output


def image() -> Tensor:
    return torch.rand(2, 3, 9, 12, dtype=torch.float64)


@pytest.mark.parametrize(("network", "options"), CHAINS + OTHERS)
def test_folded_network_without_channels_equals_the_masked_one(
    network: type[SRModel], options: dict[str, Any]
) -> None:
    model, x = shaken(network, options), image()
    keep = choice(model)
    assert any(not stays.all() for stays in keep.values())
    expected = masked(model, keep, x)
    twin = pruned_twin(model, keep)
    assert (twin(x) - expected).abs().max() < 1e-9
    assert (expected - model(x)).abs().max() > 1e-6
    for name, stays in keep.items():
        assert twin.get_submodule(name).out_channels == int(stays.sum())


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("network", "options"), CHAINS)
def test_network_that_trains_on_without_channels_equals_the_masked_one(
    network: type[SRModel], options: dict[str, Any], folded: bool, tmp_path: Any
) -> None:
    model, x = shaken(network, options), image()
    if folded:
        model = collapse(model)
    keep = choice(model)
    expected = masked(model, keep, x)
    config = {"_target_": f"sr_experiments.models.{network.__name__}", **options}
    smaller, described = pruned(model, config, keep)
    assert described == {**config, "channels": [int(stays.sum()) for stays in keep.values()]}
    assert smaller.collapsed == folded
    assert (smaller(x) - expected).abs().max() < 1e-9
    save_model(smaller.float(), described, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded(x.float()), smaller(x.float()))


def test_what_does_not_change_keeps_its_parameters_and_random_numbers_are_left_alone() -> None:
    model = RPQ(channels=6, num_blocks=3)
    config = {"_target_": "sr_experiments.models.RPQ", "channels": 6, "num_blocks": 3}
    keep = {conv.name: torch.ones(6, dtype=torch.bool) for conv in wiring(model) if conv.removable}
    keep["body.2"] = torch.arange(6) < 4
    before = torch.get_rng_state()
    smaller, _ = pruned(model, config, keep)
    assert torch.equal(torch.get_rng_state(), before)
    state = smaller.state_dict()
    for name, value in model.state_dict().items():
        if not name.startswith(("body.2.", "body.4.")):
            assert torch.equal(state[name], value), name


def test_channels_that_an_addition_or_the_picture_reads_stay() -> None:
    assert [(conv.name, conv.removable) for conv in wiring(ABPN(num_blocks=1))] == [
        ("body.0", True),
        ("body.2", True),
        ("body.4", True),
        ("tail", False),
    ]
    added = MobileSR(channels=4, num_blocks=1)  # what the skip starts from, and what it meets
    stay = [conv.name for conv in wiring(added) if not conv.removable]
    assert stay == ["shallow.2", "deep.0.2", "tail"]
    assert not [conv.name for conv in wiring(ABPN(block="dbb")) if "body.2" in conv.name]
    reads = next(conv for conv in wiring(SCSRN(channels=4)) if conv.name == "tail").reads
    assert reads == (*[("body.10", index) for index in range(4)], None, None, None)


def test_a_network_without_a_list_of_widths_says_so() -> None:
    model = FSRCNN()
    with pytest.raises(UserError, match="FSRCNN cannot be pruned"):
        pruned(model, {"_target_": "sr_experiments.models.FSRCNN"}, choice(model))


@pytest.mark.parametrize("channels", [[8, 8], 0, [8, True, 8, 8]])
def test_impossible_widths_are_refused(channels: Any) -> None:
    with pytest.raises(UserError, match=r"model\.channels="):
        EMSRNet(channels=channels, num_blocks=4)
