import math

import pytest
import torch

from sr_experiments.errors import UserError
from sr_experiments.losses import L1, MSE, Charbonnier, charbonnier, l1, mse

PREDICTION = torch.tensor([0.0, 0.5, 1.0, 0.2])
TARGET = torch.tensor([0.3, 0.5, 0.6, 0.2])
# differences 0.3, 0, 0.4, 0


def test_charbonnier_is_worked_by_hand() -> None:
    expected = (math.sqrt(0.09 + 0.01) + 0.1 + math.sqrt(0.16 + 0.01) + 0.1) / 4
    assert charbonnier(PREDICTION, TARGET).item() == pytest.approx(expected, abs=1e-7)
    assert Charbonnier(0.1)(PREDICTION, TARGET).item() == pytest.approx(expected, abs=1e-7)


def test_charbonnier_with_a_tiny_eps_is_l1_and_with_a_large_one_is_square() -> None:
    assert charbonnier(PREDICTION, TARGET, 1e-6).item() == pytest.approx(0.7 / 4, abs=1e-6)
    # sqrt(d^2 + eps^2) is eps + d^2 / (2 eps) for small d
    excess = charbonnier(PREDICTION.double(), TARGET.double(), 100.0).item() - 100
    assert excess == pytest.approx(0.25 / 4 / 200, rel=1e-4)


def test_charbonnier_has_the_gradient_of_its_formula_and_none_where_the_images_agree() -> None:
    prediction = PREDICTION.clone().requires_grad_()
    charbonnier(prediction, TARGET).backward()
    expected = [-0.3 / math.sqrt(0.1) / 4, 0, 0.4 / math.sqrt(0.17) / 4, 0]
    assert prediction.grad is not None
    assert prediction.grad.tolist() == pytest.approx(expected, abs=1e-7)


def test_l1_and_mse_are_worked_by_hand() -> None:
    assert l1(PREDICTION, TARGET).item() == L1()(PREDICTION, TARGET).item() == pytest.approx(0.175)
    assert mse(PREDICTION, TARGET).item() == pytest.approx(0.0625)
    assert MSE()(PREDICTION, TARGET).item() == pytest.approx(0.0625)


def test_an_eps_of_zero_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(UserError, match="loss=l1"):
        Charbonnier(0)
