"""Each option of a network or a discriminator changes its layers, its weights or its output."""

from importlib import import_module
from typing import Any

import pytest
import torch
from alternatives import Only, Options, check_every_option, digest, names, options_of, photo, to
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sr_experiments.models import Classifier
from sr_experiments.models.classifiers.timm_classifier import TimmClassifier
from sr_experiments.models.fitted import FittedModel

LARGE = 100_000  # parameters; larger networks are built narrow, or without numbers
NARROW = {
    "channels": 16,
    "growth": 8,
    "num_blocks": 2,
    "width": 32,
    "expansion": 3,
    "dense": 8,
}
NARROW_DPN = {
    "blocks": [1, 1, 1, 1], "widths": [32, 32, 32, 32], "residual": [8, 8, 8, 8],
    "growth": [8, 8, 8, 8],
}  # fmt: skip
FITTED = {
    "atoms": 8, "features": 6, "neighbours": 32, "patches": 600, "dictionary_patches": 200,
}  # fmt: skip
FOLLOWS = Only("is data.size, which the pictures are resized to; the layers take any")
OF_MODELS = {
    "activation": to("relu", "prelu", "silu"),
    "espcn.activation": to("tanh"),
    "skipskip.activation": to("silu"),
    "anchor": to("conv1", "conv3", "repeat"),
    "block": to("clb", "ecb"),
    "srcnn.block": to("clb"),
    "end_block": to("clb", "ecb"),
    "clip_hidden": to(0.5),
    "classes": to(["cat", "dog", "ship"]),
    "size": FOLLOWS,
    "glasses_cnn.size": to(24),
    "outputs": to(2),
    "init": to("he_0.2_fan_out", "he_times_0.1"),
    "variant": to("a", "b"),
    "pooling": to("average"),
    "name": to("resnet26", "densenet169", "dpn98"),
    "timm_classifier.name": to("test_efficientnet"),
    "weights": to("elsewhere"),
    "blocks": to([1, 2, 1, 1]),
    "widths": to([64, 32, 32, 32]),
    "residual": to([16, 8, 8, 8]),
    "dpn26.growth": to([16, 8, 8, 8]),
    "dpn92.growth": to([16, 8, 8, 8]),
}
OF_DISCRIMINATORS = {"strides": to([1, 2, 1, 1, 2, 1, 1, 1])}


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of timm's hub, and of a file, without a download."""

    def filled(network: TimmClassifier, value: float) -> dict[str, torch.Tensor]:
        return {key: torch.full_like(x, value) for key, x in network.network.state_dict().items()}

    module = import_module(TimmClassifier.__module__)
    monkeypatch.setattr(TimmClassifier, "_fetch", lambda self: filled(self, 0.5))
    monkeypatch.setattr(
        module, "_read", lambda path: filled(TimmClassifier(name="test_resnet"), len(path))
    )


def make(options: Options) -> nn.Module:
    torch.manual_seed(1)
    options = dict(options)
    module, _, name = options.pop("_target_").rpartition(".")
    made = getattr(import_module(module), name)(**options)
    assert isinstance(made, nn.Module)
    return made


def looks(model: nn.Module, side: int) -> str:
    """Layers, weights, and what the network makes of two pictures, in training and after it.

    Beside the pictures the operations of training count: a block that is folded at
    each step computes the same in another way.
    """
    if isinstance(model, FittedModel):
        model.fit([(255 * image).byte() for image in photo(2, 48)[1]], say=lambda text: None)
    layers = [f"{name} {type(layer).__name__}" for name, layer in model.named_modules()]
    learned = [name for name, value in model.named_parameters() if value.requires_grad]
    found = digest(layers, learned, model.state_dict())
    if next(model.parameters(), torch.empty(0)).is_meta:
        return found
    pictures = photo(2, side)[0] * 3 - 1
    torch.manual_seed(2)
    with torch.no_grad():
        with FlopCounterMode(display=False) as operations:
            trained = model.train()(pictures)
        return digest(found, operations.get_total_flops(), trained, model.eval()(pictures))


def shapes(options: Options) -> str:
    """Layers and shapes of the weights of a network too large to be built."""
    with torch.device("meta"):
        model = make(options)
    layers = [f"{name} {type(layer).__name__}" for name, layer in model.named_modules()]
    return digest(layers, [(key, value.shape) for key, value in model.state_dict().items()])


def network(options: Options) -> str:
    model = make(options)
    if isinstance(model, Classifier):
        model.load_pretrained()
        return looks(model, model.size)
    return looks(model, 8)


@pytest.mark.parametrize("name", names("model"))
@pytest.mark.usefixtures("at_hand")
def test_every_option_of_a_network_changes_it(name: str) -> None:
    options = options_of("model", name, scale=2, classes=["cat", "dog"], size=32)
    if options["_target_"].endswith("APlus"):
        options |= FITTED
    if options["_target_"].endswith("TimmClassifier"):
        options["name"] = "test_resnet"
    observe: Any = network
    if options["_target_"].endswith("TimmCifar"):
        observe = shapes
    elif parameters(options) > LARGE:
        narrow = NARROW_DPN if options["_target_"].endswith("DPN") else NARROW
        options |= {key: value for key, value in narrow.items() if key in options}
    check_every_option(f"model/{name}", options, OF_MODELS, observe)


def parameters(options: Options) -> int:
    with torch.device("meta"):
        return sum(value.numel() for value in make(options).parameters())


@pytest.mark.parametrize("name", names("discriminator"))
def test_every_option_of_a_discriminator_changes_it(name: str) -> None:
    options = options_of("discriminator", name, width=0.125, hidden=8)
    check_every_option(
        f"discriminator/{name}", options, OF_DISCRIMINATORS, lambda made: looks(make(made), 37)
    )
