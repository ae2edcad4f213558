"""What a step minimises: terms by name, from losses of every form."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import L1, MSE
from sr_experiments.models import ABPN
from sr_experiments.optim import Constant
from sr_experiments.tasks import RegressionTask


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> SRData:
    cache = tmp_path_factory.getbasetemp() / "cache"
    return SRData(["photos:train"], ["photos:val"], [], 3, batch_size=4, cache_dir=cache)


def make(data: SRData, loss: nn.Module, **options: object) -> RegressionTask:
    torch.manual_seed(0)
    network = ABPN(channels=8, num_blocks=1)
    return RegressionTask(network, loss, data, torch.optim.Adam, Constant, total_steps=1, **options)


class Two(nn.Module):
    def forward(self, prediction: Tensor, high_res: Tensor) -> Mapping[str, Tensor]:
        difference = prediction - high_res
        return {"near": difference.abs().mean(), "far": 3 * difference.square().mean()}


class AgainstLowRes(nn.Module):
    needs_low_res = True

    def forward(self, prediction: Tensor, high_res: Tensor, low_res: Tensor) -> Tensor:
        return (nn.functional.avg_pool2d(prediction, 3) - low_res).abs().mean()


class Wrong(nn.Module):
    def forward(self, prediction: Tensor, high_res: Tensor) -> Tensor:
        return prediction - high_res


class Strength(nn.Module):
    def forward(self, network: nn.Module) -> Tensor:
        return torch.stack([value.square().sum() for value in network.parameters()]).sum()


def test_a_scalar_is_one_term_named_after_its_class(data: SRData) -> None:
    task = make(data, L1())
    low_res, high_res = task.train_batch()
    terms = task.terms(low_res, high_res)
    assert terms.keys() == {"l1"}
    expected = (task.network(low_res) - high_res).abs().mean()
    assert terms["l1"].item() == pytest.approx(expected.item())


def test_every_named_term_of_a_loss_is_summed_and_keeps_its_name(data: SRData) -> None:
    batch = make(data, MSE()).train_batch()
    plain = make(data, MSE()).terms(*batch)["mse"].item()
    task = make(data, Two())
    terms = task.terms(*batch)
    assert list(terms) == ["near", "far"]
    assert terms["far"].item() == pytest.approx(3 * plain)
    total = task.total_loss(terms).item()
    assert total == pytest.approx(terms["near"].item() + 3 * plain)


def test_a_loss_that_needs_it_gets_the_low_resolution_batch(data: SRData) -> None:
    # ABPN begins as nearest neighbour plus a little, of which the means of 3x3 are the input.
    terms = make(data, AgainstLowRes()).terms(*make(data, L1()).train_batch())
    assert 0 < terms["againstlowres"].item() < 0.05


def test_regularisers_are_terms_and_reach_every_parameter(data: SRData) -> None:
    task = make(data, L1(), regularizers={"strength": Strength()})
    terms = task.terms(*task.train_batch())
    assert list(terms) == ["l1", "strength"]
    weights = list(task.network.parameters())
    total = torch.autograd.grad(task.total_loss(terms), weights, retain_graph=True)
    without = torch.autograd.grad(terms["l1"], weights)
    for weight, gradient, of_loss in zip(weights, total, without, strict=True):
        assert torch.allclose(gradient - of_loss, 2 * weight, atol=1e-6)


def test_a_loss_that_gives_an_image_is_refused_by_its_name(data: SRData) -> None:
    task = make(data, Wrong())
    with pytest.raises(UserError, match=r"loss: Wrong must give a scalar.*wrong is none"):
        task.terms(*task.train_batch())


def test_a_regulariser_must_not_take_the_name_of_a_loss(data: SRData) -> None:
    task = make(data, L1(), regularizers={"l1": Strength()})
    with pytest.raises(UserError, match=r"task\.regularizers\.l1"):
        task.terms(*task.train_batch())


def test_terms_are_logged_by_name(data: SRData) -> None:
    task = make(data, Two(), regularizers={"strength": Strength()})
    logged: dict[str, float] = {}
    task.log = lambda name, value, **_: logged.__setitem__(name, float(value))  # type: ignore
    loss = task.training_step(0, 0)
    names = {"train/loss/near", "train/loss/far", "train/loss/strength"}
    assert logged.keys() == {"train/loss", *names}
    assert sum(logged[name] for name in names) == pytest.approx(loss.item(), rel=1e-5)
