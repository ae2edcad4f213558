"""LPIPS and DISTS against torchmetrics' own, on classifiers before they are trained."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.perception import DISTS, LPIPS


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    first, second = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return first, second


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models import alexnet

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    state = {k: v for k, v in alexnet().state_dict().items() if k.startswith("features.")}
    torch.save(state, file)
    return file


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models import vgg

    torch.manual_seed(0)
    features = vgg.make_layers(vgg.cfgs["D"])
    file = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, file)
    return file


def test_lpips_is_torchmetrics(pair: tuple[Tensor, Tensor], alexnet_file: Path) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    reference = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    state = torch.load(alexnet_file, weights_only=True)
    for name, value in reference.net.named_parameters():
        index = name.split(".")[1]  # slice1.0.weight: torchvision's features.0.weight
        value.data.copy_(state[f"features.{index}.{name.rpartition('.')[2]}"])
    expected = reference(pair[0] * 2 - 1, pair[1] * 2 - 1).mean()
    metric = LPIPS(str(alexnet_file))
    assert metric(*pair).item() == pytest.approx(expected.item(), rel=1e-4)
    assert metric(pair[0], pair[0]).item() == 0
    assert metric.state_dict() == {}


def test_dists_is_torchmetrics_network_with_the_files_weights(
    pair: tuple[Tensor, Tensor], vgg16_file: Path
) -> None:
    from torchmetrics.functional.image import dists

    original = dists.vgg16
    metric = DISTS(str(vgg16_file))
    same, other = metric(pair[0], pair[0]).item(), metric(*pair).item()
    assert same == pytest.approx(0, abs=1e-4)
    assert 0.001 < other < 1
    assert metric(pair[1], pair[0]).item() == pytest.approx(other, rel=1e-4)
    assert dists.vgg16 is original
    stage = metric._network[0].stage1
    state = torch.load(vgg16_file, weights_only=True)
    assert torch.equal(stage[0].weight, state["features.0.weight"])


@pytest.mark.parametrize("metric", [LPIPS, DISTS])
def test_weights_that_are_not_there_are_an_error_when_first_used(
    metric: type[LPIPS | DISTS], pair: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    absent = metric(str(tmp_path / "absent.pth"))
    with pytest.raises(UserError, match="there is no such file"):
        absent(*pair)
