"""What every loss must do. A new YAML in conf/loss is tested without another line here."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from sr_experiments.configuration.compose import compose
from sr_experiments.functional.resize import downscale

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "loss"
NAMES = sorted(
    path.stem
    for path in FOLDER.glob("*.yaml")
    if not getattr(get_class(OmegaConf.load(path)["_target_"]), "classifies", False)
)
every_loss = pytest.mark.parametrize("name", NAMES)


def with_weights(node: DictConfig, files: Mapping[str, Path]) -> DictConfig:
    """The same loss with trunks that need no download."""
    for key, value in node.items():
        if isinstance(value, DictConfig):
            with_weights(value, files)
        elif key == "weights":
            node[key] = str(files[node.trunk])
    return node


@pytest.fixture(scope="session")
def trunk_files(vgg19_file: Path, mobilenet_noise_file: Path) -> dict[str, Path]:
    return {
        "torchvision/vgg19": vgg19_file,
        "torchvision/mobilenet_v2": mobilenet_noise_file,
    }


def make(name: str, files: Mapping[str, Path], *words: str) -> nn.Module:
    config = with_weights(compose([f"loss={name}", *words]).loss, files)
    loss: nn.Module = instantiate(config, _convert_="all")
    return loss


def terms(loss: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    extra = [downscale(target, 3)] if getattr(loss, "needs_low_res", False) else []
    value = loss(prediction, target, *extra)
    return dict(value) if isinstance(value, Mapping) else {"": value}


@every_loss
def test_gradients_reach_every_pixel_and_nothing_of_the_loss_itself_is_trained_or_saved(
    name: str, trunk_files: dict[str, Path]
) -> None:
    random = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, 2, 3, 48, 48, generator=random)
    prediction.requires_grad_()
    loss = make(name, trunk_files)
    values = terms(loss, prediction, target)
    assert all(value.shape == () and bool(value.isfinite()) for value in values.values())
    torch.stack(list(values.values())).sum().backward()
    assert prediction.grad is not None
    assert bool(prediction.grad.isfinite().all())
    assert (prediction.grad != 0).float().mean() > 0.99
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


def parts(config: Any) -> list[DictConfig]:
    """Every node that makes an object, the outer one first."""
    below = [
        part for value in config.values() if isinstance(value, DictConfig) for part in parts(value)
    ]
    return [config, *below] if "_target_" in config else below


def defaults(part: DictConfig) -> dict[str, Any]:
    """Options of the class that a node makes, with Python's defaults; ``???`` has none."""
    options = inspect.signature(get_class(part["_target_"])).parameters.values()
    return {
        option.name: "???" if option.default is option.empty else option.default
        for option in options
        if option.kind is option.POSITIONAL_OR_KEYWORD
    }


@every_loss
def test_yaml_shows_every_option_with_the_value_that_python_has_or_one_of_its_own(
    name: str,
) -> None:
    root = compose([f"loss={name}"]).loss
    own = OmegaConf.load(FOLDER / f"{name}.yaml")
    base = get_class(root["_target_"]).__module__.endswith(f".{name}")
    for part in parts(root):
        shown = OmegaConf.to_container(part)
        assert isinstance(shown, dict)
        del shown["_target_"]
        expected = defaults(part)
        assert shown.keys() == expected.keys()
        place = part._get_full_key(None).removeprefix("loss").lstrip(".")
        for key, default in expected.items():
            chosen = OmegaConf.select(own, f"{place}.{key}".lstrip("."))
            if chosen is not None and not base:
                continue  # a published combination's own value
            if isinstance(default, float):
                assert shown[key] == pytest.approx(default, rel=1e-3)
            elif default != "???":
                assert shown[key] == (list(default) if isinstance(default, tuple) else default)


def test_a_loss_joins_a_combination_on_the_command_line(
    trunk_files: dict[str, Path],
) -> None:
    words = ["+loss@loss.terms.tv.loss=total_variation", "+loss.terms.tv.weight=2e-8"]
    loss = make("combined", trunk_files, *words, "loss.terms.dct_l1.weight=0")
    prediction, target = torch.rand(2, 1, 3, 24, 24)
    values = terms(loss, prediction, target)
    assert values.keys() == {"l1", "tv"}
    steps = [prediction.diff(dim=dim).square().mean().item() for dim in (-2, -1)]
    assert values["tv"].item() == pytest.approx(2e-8 * 2 * sum(steps))
