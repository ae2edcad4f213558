"""What every classifier must do. A new YAML in conf/model is tested without another line here."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.models import Classifier, load_classifier, load_model, save_model

FILES = {
    path.stem: path
    for path in sorted((Path(__file__).resolve().parents[2] / "conf" / "model").glob("*.yaml"))
    if issubclass(get_class(OmegaConf.load(path)["_target_"]), Classifier)
}
every_classifier = pytest.mark.parametrize("name", list(FILES))
THREE = ["cat", "dog", "ship"]
SIZE = 32


def config(name: str, classes: list[str]) -> dict[str, Any]:
    data = {"classes": classes, "size": SIZE}
    root = OmegaConf.create({"data": data, "model": OmegaConf.load(FILES[name])})
    resolved = OmegaConf.to_container(root.model, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def build(name: str, classes: list[str] = THREE) -> Classifier:
    torch.manual_seed(0)
    model = instantiate(config(name, classes))
    assert isinstance(model, Classifier)
    return model


def pictures(count: int = 4) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@every_classifier
def test_yaml_shows_every_option(name: str) -> None:
    shown = config(name, THREE)
    network = get_class(shown.pop("_target_"))
    assert shown.keys() == inspect.signature(network).parameters.keys()


@every_classifier
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = build(name).train()
    for module in model.modules():  # timm starts the last norm of a residual block at zero
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    logits = model(pictures())
    assert logits.shape == (4, 3)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    dead = [
        key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert not dead


@every_classifier
def test_probabilities_add_up_to_one_and_the_file_gives_them_back(
    name: str, tmp_path: Path
) -> None:
    model = build(name)
    with torch.no_grad():
        model.train()(pictures())  # running averages that are not those of a fresh network
        before = model.eval().probabilities(model(pictures()))
    assert torch.allclose(before.sum(1), torch.ones(4))
    path = tmp_path / "model.safetensors"
    save_model(model, model.described(config(name, THREE)), path)
    loaded = load_classifier(path)
    with torch.no_grad():
        assert torch.equal(loaded.probabilities(loaded(pictures())), before)
    assert (list(loaded.classes), loaded.size) == (THREE, SIZE)
    assert not loaded.fresh
    assert not loaded.training
    with pytest.raises(UserError, match="is a classifier"):
        load_model(path)
