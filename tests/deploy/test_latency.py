"""How latency is measured."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_experiments.deploy.latency import compare_latency, measure
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.tflite import float_model
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.quantization import trace


class Clock:
    """Stands still unless it is told how much time has passed, in seconds."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The only clock that is looked at: no other program can make a run longer."""
    made = Clock()
    monkeypatch.setattr("sr_experiments.deploy.latency.time", made)
    return made


class Sleeper:
    """Takes a known time, and is slow to put its input in place."""

    name = "sleeper"
    scale = 1
    input_size: tuple[int, int] | None = None
    threads = 3
    radius = None

    def __init__(self, clock: Clock, milliseconds: list[float]) -> None:
        self.clock = clock
        self.milliseconds = milliseconds
        self.calls = 0

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        return low_res.astype(np.float32)

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        self.clock.now += 0.05
        return self.run

    def run(self) -> None:
        self.clock.now += self.milliseconds[self.calls % len(self.milliseconds)] / 1000
        self.calls += 1


def test_a_slow_runtime_is_timed_once_when_patience_is_over(clock: Clock) -> None:
    slow = Sleeper(clock, [60])
    latency = measure(slow, 20, 30, runs=20, warmup=3, patience=0.05)
    assert (slow.calls, latency.runs) == (2, 1)
    assert latency.median == pytest.approx(60)


def test_median_leaves_out_warm_up_preparation_and_outliers(clock: Clock) -> None:
    latency = measure(Sleeper(clock, [60, 60, 60, 10, 10, 10, 60, 10]), 20, 30, runs=5, warmup=3)
    assert latency.median == pytest.approx(10)
    assert latency.summary() == {
        "runtime": "sleeper",
        "threads": 3,
        "size": "30x20",
        "median": latency.median,
        "spread": latency.spread,
    }


def test_spread_is_between_the_quartiles(clock: Clock) -> None:
    latency = measure(Sleeper(clock, [1, 2, 2, 2, 42, 42, 42, 90]), runs=8, warmup=0)
    assert latency.spread == pytest.approx(40)


def test_runtimes_take_turns(clock: Clock) -> None:
    order: list[str] = []

    class Noting(Sleeper):
        def run(self) -> None:
            order.append(self.name)

    first, second = Noting(clock, [0]), Noting(clock, [0])
    second.name = "other"
    compare_latency([first, second], runs=2, warmup=1)
    assert order == ["sleeper", "other"] * 3


def test_fixed_file_is_not_measured_at_another_size(xlsr: SRModel) -> None:
    runtime = LiteRTRuntime(float_model(trace(xlsr), 16, 16, resizable=False))
    assert measure(runtime, 16, 16, runs=3).median > 0
    with pytest.raises(UserError, match="fixed to"):
        measure(runtime, 16, 24)
