"""Discriminators have the published sizes, judge crops of any size, and can be bounded."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.models import count_parameters
from sr_experiments.models.discriminators import (
    Discriminator,
    ESRGANDiscriminator,
    SRGANDiscriminator,
    SwiftSRGANDiscriminator,
)

FILES = sorted((Path(__file__).resolve().parents[2] / "conf" / "discriminator").glob("*.yaml"))
every_file = pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)

CONVOLUTIONS = 536_862  # of Swift-SRGAN's, batch norm included


@pytest.mark.parametrize(
    ("kind", "options", "count"),
    [
        (SwiftSRGANDiscriminator, {}, 19_413_279),
        (SwiftSRGANDiscriminator, {"strides": [1, 2, 1, 1, 2, 1, 1, 1]}, 19_413_279),
        (SwiftSRGANDiscriminator, {"hidden": 1}, CONVOLUTIONS + 512 * 36 + 1 + 2),
        (SRGANDiscriminator, {}, 23_565_505),
        (SRGANDiscriminator, {"idle_biases": False}, 23_563_649),
        (ESRGANDiscriminator, {}, 14_499_401),
    ],
)
def test_discriminator_has_the_published_number_of_parameters(
    kind: type[Discriminator], options: dict[str, Any], count: int
) -> None:
    with torch.device("meta"):
        assert count_parameters(kind(**options)) == count


def narrow(file: Path, **options: Any) -> Discriminator:
    torch.manual_seed(0)
    made = instantiate(OmegaConf.load(file), width=0.125, hidden=8, **options)
    assert isinstance(made, Discriminator)
    return made


@every_file
@pytest.mark.parametrize("size", [37, 96])
def test_it_gives_one_logit_for_each_picture_of_any_size_and_all_of_it_trains(
    file: Path, size: int
) -> None:
    network = narrow(file)
    logits = network(torch.rand(3, 3, size, size))
    assert logits.shape == (3, 1)
    logits[0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("kind", "size", "left"), [(SRGANDiscriminator, 96, 6), (ESRGANDiscriminator, 128, 4)]
)
def test_pooling_changes_nothing_at_the_papers_crop(
    kind: type[Discriminator], size: int, left: int
) -> None:
    network = kind(width=0.0625, hidden=4)  # type: ignore[call-arg]
    maps = network.features(torch.rand(2, 3, size, size))
    assert maps.shape[-2:] == (left, left)
    assert torch.equal(network.head[0](maps), maps)


@every_file
def test_yaml_shows_every_option_with_its_default(file: Path) -> None:
    shown = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(shown, dict)
    options = inspect.signature(get_class(shown.pop("_target_"))).parameters.values()
    assert shown == {
        option.name: list(option.default) if isinstance(option.default, tuple) else option.default
        for option in options
    }


@every_file
def test_spectral_norm_leaves_no_layer_that_makes_anything_larger(file: Path) -> None:
    network = narrow(file, spectral_norm=True)
    for _ in range(30):  # each call improves torch's estimate of the singular value
        network(torch.rand(2, 3, 32, 32))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.05)


@every_file
def test_without_batch_norm_pictures_do_not_touch_each_other(file: Path) -> None:
    for batch_norm in (True, False):
        network = narrow(file, batch_norm=batch_norm)
        pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
        network(pictures)[0].sum().backward()
        assert pictures.grad is not None
        assert bool(pictures.grad[1].any()) == batch_norm


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="must be 8"):
        SwiftSRGANDiscriminator(strides=[1, 2])
    with pytest.raises(UserError, match="pool=0 is below 1"):
        SRGANDiscriminator(width=0.1, pool=0)
