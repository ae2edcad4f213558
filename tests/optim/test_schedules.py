import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD

from sr_experiments.errors import UserError
from sr_experiments.optim import Constant, Cosine, Step, Triangular
from sr_experiments.optim.schedules import Schedule


def rates(make: Callable[[SGD], Schedule], steps: int, lr: float = 1e-3) -> list[float]:
    """Learning rate of iterations 0 to ``steps``."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr)
    schedule = make(optimizer)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize("total", [500, 5_000])
def test_triangle_has_the_papers_three_learning_rates_however_long_the_training(total: int) -> None:
    seen = rates(lambda optimizer: Triangular(optimizer, total), total)
    assert seen[0] == pytest.approx(5e-5)
    assert seen[total // 100] == pytest.approx(25e-4)
    assert seen[total] == pytest.approx(1e-4)
    assert max(seen) == seen[total // 100]


def test_both_ramps_of_the_triangle_are_straight() -> None:
    seen = rates(lambda optimizer: Triangular(optimizer, 1_000), 1_000)
    assert seen[5] == pytest.approx((5e-5 + 25e-4) / 2)
    assert seen[505] == pytest.approx((25e-4 + 1e-4) / 2)


def test_triangle_can_start_at_its_peak() -> None:
    seen = rates(lambda optimizer: Triangular(optimizer, 10, peak=1.0, end=0.5, peak_at=0), 10)
    assert seen[0] == 1
    assert seen[10] == pytest.approx(0.5)


def test_learning_rate_stays_after_the_end() -> None:
    seen = rates(lambda optimizer: Triangular(optimizer, 100), 150)
    assert set(seen[100:]) == {seen[100]}


def test_cosine_falls_from_the_optimisers_rate_to_its_end() -> None:
    seen = rates(lambda optimizer: Cosine(optimizer, 100, end=1e-5), 100)
    assert seen[0] == pytest.approx(1e-3)
    assert seen[25] == pytest.approx(1e-5 + (1e-3 - 1e-5) * (1 + math.sqrt(0.5)) / 2)
    assert seen[50] == pytest.approx((1e-3 + 1e-5) / 2)
    assert seen[100] == pytest.approx(1e-5)


def test_cosine_warms_up_in_equal_steps() -> None:
    seen = rates(lambda optimizer: Cosine(optimizer, 100, warmup=0.1), 100)
    assert seen[:12] == pytest.approx([*(1e-4 * step for step in range(1, 11)), 1e-3, seen[11]])
    assert seen[11] < 1e-3


def test_step_halves_where_abpn_does() -> None:
    seen = rates(lambda optimizer: Step(optimizer, 600), 600)
    for epoch, rate in [(0, 1), (119, 1), (120, 0.5), (240, 0.25), (360, 0.125), (480, 0.0625)]:
        assert seen[epoch] == pytest.approx(1e-3 * rate)


def test_constant_stays() -> None:
    assert set(rates(lambda optimizer: Constant(optimizer, 10), 20)) == {1e-3}


def test_each_group_keeps_its_own_base_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1e-3, 1e-4)]
    optimizer = SGD(groups)
    schedule = Step(optimizer, 10, at_shares=[0.1])
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-4, 5e-5])


def test_resumed_schedule_goes_on_where_it_was() -> None:
    whole = rates(lambda optimizer: Triangular(optimizer, 100), 60)
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 1e-3)
    schedule = Triangular(optimizer, 100)
    for _ in range(30):
        optimizer.step()
        schedule.step()
    fresh = SGD([nn.Parameter(torch.zeros(1))], 1e-3)
    resumed = Triangular(fresh, 100)
    fresh.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for expected in whole[30:]:
        assert fresh.param_groups[0]["lr"] == expected
        fresh.step()
        resumed.step()


def test_impossible_options_are_refused_by_name() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 1e-3)
    with pytest.raises(UserError, match="peak_at"):
        Triangular(optimizer, 100, peak_at=50)
    with pytest.raises(UserError, match="warmup"):
        Cosine(optimizer, 100, warmup=1)
    with pytest.raises(UserError, match="at_shares"):
        Step(optimizer, 100, at_shares=[120])
    with pytest.raises(UserError, match="0 steps"):
        Constant(optimizer, 0)
