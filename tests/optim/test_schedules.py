import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from sr_experiments.errors import UserError
from sr_experiments.optim import Constant, Cosine, Exponential, Step, Triangular
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


def published(lr: float, epochs: int, **options: Any) -> list[float]:
    """Learning rate of each epoch of a recipe, with three steps an epoch."""
    seen = rates(lambda optimizer: Step(optimizer, 3 * epochs, **options), 3 * epochs - 1, lr)
    assert all(seen[epoch * 3 : epoch * 3 + 3] == [seen[epoch * 3]] * 3 for epoch in range(epochs))
    return seen[::3]


@pytest.mark.parametrize(
    ("lr", "epochs", "options", "expected"),
    [
        # Mobile AI 2022 report, by section: learning rate from each epoch on
        (2e-5, 200, {"every": 0.3}, {60: 1e-5, 120: 5e-6, 180: 2.5e-6}),  # A.1, stage 2
        (1e-5, 300, {"every": 0.2}, {60: 5e-6, 120: 2.5e-6, 180: 1.25e-6, 240: 6.25e-7}),
        (1e-4, 220, {"every": 50, "of": 220}, {50: 5e-5, 100: 2.5e-5, 150: 1.25e-5, 200: 6.25e-6}),
        (1e-3, 1000, {"every": 0.1, "factor": 0.6}, {i * 100: 1e-3 * 0.6**i for i in range(1, 10)}),
        (1e-5, 220, {"every": 50, "of": 220, "factor": 0.6}, {50: 6e-6, 200: 1e-5 * 0.6**4}),
        (1e-3, 1000, {"every": 0.2}, {200: 5e-4, 400: 2.5e-4, 600: 1.25e-4, 800: 6.25e-5}),
        (1e-3, 1080, {"every": 120, "of": 1080}, {120: 5e-4, 960: 1e-3 / 2**8}),
        (6e-4, 2000, {"every": 0.1}, {200: 3e-4, 1800: 6e-4 / 2**9}),
        # NCNet's repository: 1e-3, 5e-4, 2e-4, 1e-4 and 5e-5 from iterations in thousands
        (
            1e-3,
            500,
            {"at_shares": [50, 150, 300, 400], "of": 500, "factors": [0.5, 0.4, 0.5, 0.5]},
            {50: 5e-4, 150: 2e-4, 300: 1e-4, 400: 5e-5},
        ),
        # the mini-batch study: a tenth every 50 epochs of 150
        (0.1, 150, {"every": 50, "of": 150, "factor": 0.1}, {50: 1e-2, 100: 1e-3}),
    ],
)
def test_step_says_every_published_schedule(
    lr: float, epochs: int, options: dict[str, Any], expected: dict[int, float]
) -> None:
    seen = published(lr, epochs, **options)
    assert seen[0] == lr
    for epoch, rate in expected.items():
        assert seen[epoch] == pytest.approx(rate, rel=1e-9), epoch
        assert seen[epoch - 1] > rate
    changes = sum(now != before for before, now in itertools.pairwise(seen))
    period = options.get("every")
    if period is not None:
        assert changes == math.ceil(options.get("of", 1) / period - 1e-9) - 1


def test_cosine_ramps_are_torchs_one_cycle_policy() -> None:
    # the public XLSR port: div 50 and final div 0.5 give the paper's three numbers
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 1.0)
    oracle = OneCycleLR(
        optimizer, 25e-4, total_steps=101, pct_start=0.1, div_factor=50, final_div_factor=0.5,
        cycle_momentum=False,
    )  # fmt: skip
    expected = []
    for _ in range(101):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 101:
            oracle.step()
    # torch's corners lie at whole steps of 100: the peak at 0.1 * 101 - 1 = 9.1
    ours = rates(lambda sgd: Triangular(sgd, 100, peak_at=0.091, ramps="cosine"), 100)
    assert ours == pytest.approx(expected, rel=1e-6)


def test_triangle_can_be_run_through_several_times() -> None:
    def make(optimizer: SGD) -> Schedule:
        return Triangular(optimizer, 120, start=0, peak=10, end=0, peak_at=0.5, cycles=3)

    seen = rates(make, 130)
    assert seen[:41] == pytest.approx([10 - abs(20 - step) / 2 for step in range(41)])
    assert seen[40:81] == pytest.approx(seen[:41])
    assert seen[80:120] == pytest.approx(seen[:40])
    assert seen[120:] == [0] * 11


def test_constant_stays_also_at_published_extremes() -> None:
    assert set(rates(lambda optimizer: Constant(optimizer, 10), 20)) == {1e-3}
    # TCLResearchEurope's QAT at 1e-7, and ECNUSR's last epochs, which only set ranges
    for lr in (1e-7, 0.0):
        assert set(rates(lambda optimizer: Constant(optimizer, 10), 20, lr)) == {lr}


def test_constant_warms_up_in_equal_steps() -> None:
    seen = rates(lambda optimizer: Constant(optimizer, 100, warmup=0.05), 20)
    assert seen == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, *[1e-3] * 17])


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
    with pytest.raises(UserError, match=r"every=50 .*of=1"):
        Step(optimizer, 100, every=50)
    with pytest.raises(UserError, match="factors has 2 values"):
        Step(optimizer, 100, factors=[0.5, 0.4])
    with pytest.raises(UserError, match=r"scheduler\.of"):
        Step(optimizer, 100, of=0)
    with pytest.raises(UserError, match="ramps=square"):
        Triangular(optimizer, 100, ramps="square")
    with pytest.raises(UserError, match="cycles=0"):
        Triangular(optimizer, 100, cycles=0)
    with pytest.raises(UserError, match="warmup"):
        Constant(optimizer, 100, warmup=-0.1)
    with pytest.raises(UserError, match="0 steps"):
        Constant(optimizer, 0)


def test_exponential_decays_as_keras_documents_it() -> None:
    # initial * rate ** (step / decay_steps)
    seen = rates(lambda optimizer: Exponential(optimizer, 300, rate=0.5, decay_steps=100), 250)
    assert seen[0] == pytest.approx(1e-3)
    assert seen[50] == pytest.approx(1e-3 * 0.5**0.5)
    assert seen[200] == pytest.approx(0.25e-3)
    steps = rates(
        lambda optimizer: Exponential(optimizer, 300, 0.5, decay_steps=100, staircase=True), 250
    )
    assert steps[99] == pytest.approx(1e-3)
    assert steps[100] == steps[199] == pytest.approx(0.5e-3)


def test_exponential_over_the_whole_training_ends_at_its_rate() -> None:
    seen = rates(lambda optimizer: Exponential(optimizer, 40, rate=0.1, decay_steps=None), 41)
    assert seen[40] == pytest.approx(1e-4)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    with pytest.raises(UserError, match=r"scheduler\.rate"):
        Exponential(optimizer, 10, rate=1.5)
    with pytest.raises(UserError, match=r"scheduler\.decay_steps"):
        Exponential(optimizer, 10, decay_steps=0)
