import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.losses import L1, MSE, Combined, TotalVariation

PREDICTION = torch.full((1, 3, 4, 4), 0.5)
TARGET = torch.zeros(1, 3, 4, 4)


class OfLowRes(nn.Module):
    needs_low_res = True

    def forward(self, prediction: Tensor, target: Tensor, low_res: Tensor) -> dict[str, Tensor]:
        return {"mean": low_res.mean(), "peak": low_res.amax()}


def test_terms_are_weighted_and_keep_their_names() -> None:
    loss = Combined(
        {"pixels": {"weight": 2, "loss": L1()}, "squares": {"weight": 0.5, "loss": MSE()}}
    )
    terms = {name: value.item() for name, value in loss(PREDICTION, TARGET).items()}
    assert terms == {"pixels": pytest.approx(1.0), "squares": pytest.approx(0.125)}
    assert not loss.needs_low_res


def test_a_term_may_need_the_low_resolution_batch_and_have_terms_of_its_own() -> None:
    loss = Combined(
        {"pixels": {"weight": 1, "loss": L1()}, "blur": {"weight": 10, "loss": OfLowRes()}}
    )
    assert loss.needs_low_res
    terms = loss(PREDICTION, TARGET, torch.tensor([1.0, 3.0]))
    assert {name: value.item() for name, value in terms.items()} == {
        "pixels": 0.5,
        "blur/mean": 20.0,
        "blur/peak": 30.0,
    }


def test_a_combination_can_be_a_term_of_another() -> None:
    inner = Combined({"squares": {"weight": 4, "loss": MSE()}})
    outer = Combined({"inner": {"weight": 0.5, "loss": inner}})
    assert outer(PREDICTION, TARGET)["inner/squares"].item() == pytest.approx(0.5)


def test_a_weight_of_zero_leaves_the_term_out() -> None:
    loss = Combined(
        {"pixels": {"weight": 1, "loss": L1()}, "blur": {"weight": 0, "loss": OfLowRes()}}
    )
    assert not loss.needs_low_res
    assert loss(PREDICTION, TARGET).keys() == {"pixels"}


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"loss": L1()}, r"terms\.x must have exactly a weight and a loss"),
        ({"weight": 1, "loss": L1(), "power": 2}, r"terms\.x must have exactly"),
        (None, r"terms\.x must have exactly"),
        ({"weight": -1, "loss": L1()}, r"terms\.x\.weight=-1"),
        ({"weight": float("nan"), "loss": L1()}, r"terms\.x\.weight=nan"),
        ({"weight": "1", "loss": L1()}, r"terms\.x\.weight=1 is not a number"),
        ({"weight": True, "loss": L1()}, r"terms\.x\.weight=True is not a number"),
        ({"weight": 1, "loss": "l1"}, r"terms\.x\.loss='l1' is no loss"),
        ({"weight": 0, "loss": TotalVariation()}, "nothing to train"),
    ],
)
def test_a_wrong_term_is_refused_by_its_key(term: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Combined({"x": term})  # type: ignore[dict-item]
