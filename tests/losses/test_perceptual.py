from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import Perceptual
from sr_experiments.models import ABPN
from sr_experiments.optim import Constant
from sr_experiments.tasks import RegressionTask


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    prediction, target = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    return prediction, target


def reference(layers: nn.Sequential, count: int, image: Tensor) -> Tensor:
    """The first ``count`` layers on images in [0, 1], as they are."""
    return layers[:count](image.clone())


def test_loss_is_the_weighted_distance_of_the_layers(
    pair: tuple[Tensor, Tensor], vgg11: nn.Sequential, vgg11_file: Path
) -> None:
    loss = Perceptual(
        "torchvision/vgg11",
        ["relu1_1", "conv3_2"],
        [0.5, 2.0],
        weights=str(vgg11_file),
        normalize=False,
    )
    shallow = reference(vgg11, 2, pair[0]) - reference(vgg11, 2, pair[1])
    deep = reference(vgg11, 9, pair[0]) - reference(vgg11, 9, pair[1])
    expected = 0.5 * shallow.abs().mean() + 2 * deep.abs().mean()
    assert loss(*pair).item() == pytest.approx(expected.item(), rel=1e-4)
    assert loss(pair[1], pair[1]).item() == 0


def test_srgans_feature_scale_is_squared_by_its_squared_distance(
    pair: tuple[Tensor, Tensor], vgg11: nn.Sequential, vgg11_file: Path
) -> None:
    loss = Perceptual(
        "torchvision/vgg11",
        ["relu2_1"],
        distance="mse",
        feature_scale=1 / 12.75,
        weights=str(vgg11_file),
        normalize=False,
    )
    difference = reference(vgg11, 5, pair[0]) - reference(vgg11, 5, pair[1])
    expected = difference.square().mean() / 12.75**2  # 0.006 of it, as the paper says
    assert loss(*pair).item() == pytest.approx(expected.item(), rel=1e-4)


def test_gradient_is_that_of_the_layers_and_stays_out_of_the_target(
    pair: tuple[Tensor, Tensor], vgg11: nn.Sequential, vgg11_file: Path
) -> None:
    prediction, target = (image.clone().requires_grad_() for image in pair)
    loss = Perceptual("torchvision/vgg11", ["relu2_1"], weights=str(vgg11_file), normalize=False)
    loss(prediction, target).backward()
    copy = pair[0].clone().requires_grad_()
    (reference(vgg11, 5, copy) - reference(vgg11, 5, pair[1])).abs().mean().backward()
    assert prediction.grad is not None
    assert copy.grad is not None
    assert torch.allclose(prediction.grad, copy.grad, atol=1e-7)
    assert target.grad is None


def test_bf16_layers_of_a_step_are_the_trunks_too_and_hardly_turn_its_gradient(
    pair: tuple[Tensor, Tensor], vgg11_file: Path
) -> None:
    loss = Perceptual(
        "torchvision/vgg11",
        ["conv3_2"],
        distance="mse",
        weights=str(vgg11_file),
        normalize=False,
    )
    gradients, kinds = [], []
    for bf16 in (False, True):
        prediction = pair[0].clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            kinds.append(loss.features.pair(prediction, pair[1])[0][0].dtype)
            loss(prediction, pair[1]).backward()
        assert prediction.grad is not None
        gradients.append(prediction.grad)
    exact, coarse = gradients
    assert kinds == [torch.float32, torch.bfloat16]
    alike = torch.cosine_similarity(coarse.flatten(), exact.flatten(), dim=0)
    assert 0.98 < alike < 0.99999


def test_swift_srgans_content_loss_runs_on_the_real_trunk(
    pair: tuple[Tensor, Tensor], data_dir: Path
) -> None:
    file = data_dir / "weights" / "mobilenet_v2_imagenet_fp16.pth"
    loss = Perceptual(
        "torchvision/mobilenet_v2",
        ["features.18"],
        distance="mse",
        weights=str(file),
        normalize=False,
    )
    smaller = 0.9 * pair[1] + 0.1 * pair[0]
    assert 0 < loss(smaller, pair[1]) < loss(*pair) < 36  # ReLU6 bounds the features


def test_a_training_task_neither_keeps_nor_trains_the_trunk(
    vgg11_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "cache"
    data = SRData(["photos:train"], ["photos:val"], [], 3, batch_size=2, cache_dir=cache)
    loss = Perceptual("torchvision/vgg11", ["relu2_1"], weights=str(vgg11_file))
    network = ABPN(channels=8, num_blocks=1)
    task = RegressionTask(network, loss, data, torch.optim.Adam, Constant, total_steps=1)
    low_res, high_res = task.train_batch()
    terms = task.terms(low_res, high_res)
    assert terms.keys() == {"perceptual"}
    terms["perceptual"].backward()
    assert {name.split(".")[0] for name in task.state_dict()} == {"network"}
    optimizer = task.configure_optimizers()["optimizer"]
    trained = {id(value) for group in optimizer.param_groups for value in group["params"]}
    assert trained == {id(value) for value in network.parameters()}
    assert all(value.grad is not None for value in network.parameters())


def test_impossible_options_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="distance=l2"):
        Perceptual(distance="l2")
    with pytest.raises(UserError, match="feature_scale=0"):
        Perceptual(feature_scale=0)
    with pytest.raises(UserError, match="layer_weights has 2 values for 1 layers"):
        Perceptual(layer_weights=[1, 2])
