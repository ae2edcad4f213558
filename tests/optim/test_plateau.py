import pytest
import torch
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.optim import Plateau


def rates(scores: list[float], stale_epochs: int, **options: float) -> list[float]:
    """Learning rate of each epoch, the epoch's score shown at its end."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=8.0)
    schedule = Plateau(optimizer, 100, stale_epochs=stale_epochs, **options)
    seen = []
    for score in scores:
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.step(score)
    return seen


def test_it_halves_when_so_many_epochs_brought_nothing_new() -> None:
    scores = [30.0, 30.1, 30.1, 30.0, 30.05, 29.0, 30.2, 30.15, 30.2]
    # Two stale epochs after 30.1, two more, then a new best, then two stale ones.
    assert rates(scores, 2) == [8, 8, 8, 8, 4, 4, 2, 2, 2]
    assert rates([*scores, 0.0], 2)[-1] == 1


def test_the_smallest_improvement_counts() -> None:
    assert rates([30 + 1e-6 * epoch for epoch in range(6)], 1) == [8] * 6


def test_a_fall_of_the_metric_is_no_improvement_even_below_zero() -> None:
    assert rates([-1.0, -2.0, -3.0], 1) == [8, 8, 4]


def test_it_does_not_fall_below_the_lowest() -> None:
    assert rates([1.0] * 6, 1, lowest=3.0) == [8, 8, 4, 3, 3, 3]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"factor": 1.0}, "factor"),
        ({"stale_epochs": 0}, "stale_epochs"),
        ({"lowest": -1}, "lowest"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], told: str) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    with pytest.raises(UserError, match=rf"scheduler\.{told}"):
        Plateau(optimizer, 10, **options)  # type: ignore[arg-type]


def test_a_metric_that_falls_is_better_lower_when_told() -> None:
    scores = [1.0, 0.9, 0.95, 0.9, 0.8]
    assert rates(scores, 1, higher_is_better=False) == [8, 8, 8, 4, 2]
