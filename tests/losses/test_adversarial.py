"""Adversarial losses against numbers worked by hand and against torch's cross-entropy."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.losses import L1, Adversarial, GeneratorLoss, gradient_penalty
from sr_experiments.losses.adversarial import KINDS

REAL, FAKE = torch.tensor([[2.0], [0.0]]), torch.tensor([[-1.0], [3.0]])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


HALF_LOG = -(math.log(sigmoid(2)) + math.log(sigmoid(0))) / 2
EXPECTED = {
    # kind: real, fake, generator
    "vanilla": (
        HALF_LOG,
        -(math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(3))) / 2,
        (math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(3))) / 2,
    ),
    "non_saturating": (
        HALF_LOG,
        -(math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(3))) / 2,
        -(math.log(sigmoid(-1)) + math.log(sigmoid(3))) / 2,
    ),
    "hinge": ((0 + 1) / 2, (0 + 4) / 2, -(-1 + 3) / 2),
    "least_squares": ((1 + 1) / 2, (1 + 9) / 2, (4 + 4) / 2),
    "relativistic_average": (
        # both means are 1: real - 1 is 1 and -1, fake - 1 is -2 and 2; half of each term
        -(math.log(sigmoid(1)) + math.log(sigmoid(-1))) / 4,
        -(math.log(1 - sigmoid(-2)) + math.log(1 - sigmoid(2))) / 4,
        -(math.log(sigmoid(-2)) + math.log(sigmoid(2))) / 4
        - (math.log(1 - sigmoid(1)) + math.log(1 - sigmoid(-1))) / 4,
    ),
    "probability": (
        1 - (sigmoid(2) + sigmoid(0)) / 2,
        (sigmoid(-1) + sigmoid(3)) / 2,
        1 - (sigmoid(-1) + sigmoid(3)) / 2,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_terms_are_those_of_the_table_by_hand(kind: str) -> None:
    loss = Adversarial(kind)
    terms = loss.discriminator(REAL, FAKE)
    values = terms["real"], terms["fake"], loss.generator(REAL, FAKE)
    assert [value.item() for value in values] == pytest.approx(EXPECTED[kind], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_confident_discriminator_has_less_to_pay_and_its_generator_more(kind: str) -> None:
    loss = Adversarial(kind)

    def total(real: Tensor, fake: Tensor) -> float:
        return float(sum(loss.discriminator(real, fake).values()))

    ones = torch.ones(2, 1)
    assert total(ones, -ones) < total(-ones, ones)
    assert loss.generator(0 * ones, ones) < loss.generator(0 * ones, -ones)
    assert loss.belief(ones, -ones).min() > 0.5 > loss.belief(-ones, ones).max()


@pytest.mark.parametrize("kind", ["non_saturating", "relativistic_average", "vanilla"])
@pytest.mark.parametrize("sure", [500.0, -500.0])  # of the pictures that are made
def test_sure_logits_give_no_infinity(kind: str, sure: float) -> None:
    loss = Adversarial(kind)
    real, fake = torch.full((2, 1), -sure), torch.full((2, 1), sure, requires_grad=True)
    terms = torch.stack([*loss.discriminator(real, fake).values(), loss.generator(real, fake)])
    assert terms.isfinite().all()
    terms.sum().backward()
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


def test_relativistic_loss_is_basicsrs_cross_entropy_of_differences() -> None:
    entropy = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(2, 1), torch.zeros(2, 1)
    expected = 0.5 * entropy(REAL - FAKE.mean(), zeros) + 0.5 * entropy(FAKE - REAL.mean(), ones)
    assert Adversarial("relativistic_average").generator(REAL, FAKE).item() == pytest.approx(
        expected.item()
    )


def test_gradient_penalty_is_the_squared_slope_of_the_discriminator() -> None:
    weight = torch.randn(3 * 5 * 5, requires_grad=True)
    pictures = torch.rand(4, 3, 5, 5, requires_grad=True)
    penalty = gradient_penalty(pictures.flatten(1) @ weight[:, None], pictures)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
    (slope,) = torch.autograd.grad(penalty, weight)
    assert torch.allclose(slope, 2 * weight)


def test_a_generators_loss_keeps_its_adversarial_term_apart_and_wants_it_whole() -> None:
    terms = {"pixels": {"weight": 2.0, "loss": L1()}}
    adversarial = {"weight": 1e-3, "loss": Adversarial("hinge")}
    loss = GeneratorLoss(terms, adversarial)
    prediction, target = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert {name: value.item() for name, value in loss(prediction, target).items()} == {
        "pixels": 2.0
    }
    assert (loss.adversarial.kind, loss.adversarial_weight) == ("hinge", 1e-3)
    for wrong, words in (
        ({"weight": 1.0}, "exactly a weight and a loss"),
        (adversarial | {"weight": -1}, "must be a number from 0"),
        (adversarial | {"weight": True}, "is not a number"),
    ):
        with pytest.raises(UserError, match=words):
            GeneratorLoss(terms, wrong)
    with pytest.raises(UserError, match="choose vanilla"):
        Adversarial("wasserstein")
