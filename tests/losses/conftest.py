"""Weights for the trunks of perceptual losses: VGG's are random, since the real ones are large."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import vgg


def vgg_layers(configuration: str) -> nn.Sequential:
    """The convolutions of torchvision's VGG, with the names of its weights."""
    torch.manual_seed(0)
    return vgg.make_layers(vgg.cfgs[configuration]).eval().requires_grad_(False)


def save(layers: nn.Sequential, file: Path) -> Path:
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, file)
    return file


@pytest.fixture(scope="session")
def vgg11() -> nn.Sequential:
    return vgg_layers("A")


@pytest.fixture(scope="session")
def vgg11_file(vgg11: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(vgg11, tmp_path_factory.mktemp("weights") / "vgg11.pth")


@pytest.fixture(scope="session")
def vgg19_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG19 whose kernels all take the mean: a file of kilobytes, since numbers are shared."""
    with torch.device("meta"):
        layers = vgg.make_layers(vgg.cfgs["E"])
    state = {
        f"features.{name}": torch.full((1,), 1.0 if value.dim() == 1 else 1 / value[0].numel())
        .view([1] * value.dim())
        .expand(value.shape)
        for name, value in layers.state_dict().items()
    }
    file = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="session")
def mobilenet_noise_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV2 as it is before it is trained, in half precision."""
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pth"
    torch.save(mobilenet_v2().half().state_dict(), file)
    return file
