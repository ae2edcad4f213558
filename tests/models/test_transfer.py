"""Weights go on at another scale, but for the layers that the scale shapes."""

import pytest
import torch

from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, EDSR, ESPCN, SavedModel, SRModel, collapse
from sr_experiments.models.transfer import transfer


def saved(network: SRModel, **options: object) -> SavedModel:
    config = {"_target_": f"sr_experiments.models.{type(network).__name__}", **options}
    config["scale"] = network.scale
    return SavedModel(config, network.collapsed, network.state_dict(), "the file")


def test_x2_goes_to_x4_but_for_what_the_scale_shapes() -> None:
    source, target = ABPN(2), ABPN(4)
    fresh = {name: value.clone() for name, value in target.state_dict().items()}
    done = transfer(target, saved(source))
    # The last two of the seven convolutions have 3 * scale^2 channels.
    assert done.fresh == {
        "body.10.weight": (48, 28, 3, 3),
        "body.10.bias": (48,),
        "tail.weight": (48, 48, 3, 3),
        "tail.bias": (48,),
    }
    kept = 28 * 3 * 9 + 28 + 4 * (28 * 28 * 9 + 28)
    assert done.values == kept
    for name, value in target.state_dict().items():
        expected = fresh[name] if name in done.fresh else source.state_dict()[name]
        assert torch.equal(value, expected), name
    said = str(done)
    assert f"copied 10 tensors ({kept:,} values) of the x2 network into x4" in said
    assert "not copied, they start anew: body.10.weight (48, 28, 3, 3)" in said


def test_a_network_with_one_more_enlargement_takes_all_that_it_knows() -> None:
    options = {"channels": 8, "num_blocks": 1}
    source, target = EDSR(2, **options), EDSR(4, **options)  # type: ignore[arg-type]
    done = transfer(target, saved(source, **options))
    assert done.fresh
    assert set(done.copied) | set(done.fresh) == set(target.state_dict())
    for name in done.copied:
        assert torch.equal(target.state_dict()[name], source.state_dict()[name])


def test_the_same_scale_takes_everything() -> None:
    source, target = ABPN(3), ABPN(3)
    done = transfer(target, saved(source))
    assert not done.fresh
    assert "nothing starts anew" in str(done)
    assert all(
        torch.equal(value, source.state_dict()[k]) for k, value in target.state_dict().items()
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (saved(ESPCN(2)), "the file holds ESPCN, not ABPN"),
        (saved(ABPN(3, channels=16), channels=16), r"another ABPN: body.0.bias is \(16,\) there"),
        (saved(ABPN(2, channels=16), channels=16), r"another ABPN: body.0.bias is \(16,\) there"),
        (saved(ABPN(2, num_blocks=5), num_blocks=5), "another ABPN"),
    ],
)
def test_quite_another_network_is_refused_and_nothing_is_copied(
    source: SavedModel, told: str
) -> None:
    target = ABPN(3)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(UserError, match=told):
        transfer(target, source)
    assert all(torch.equal(value, before[k]) for k, value in target.state_dict().items())


def test_folded_weights_fit_a_folded_network_alone() -> None:
    source = collapse(ABPN(2, block="ecb"))
    with pytest.raises(UserError, match=r"it is folded: name its run folder, or fold this one"):
        transfer(ABPN(3, block="ecb"), saved(source, block="ecb"))
    done = transfer(collapse(ABPN(3, block="ecb")), saved(source, block="ecb"))
    assert len(done.copied) == 10
