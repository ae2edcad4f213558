"""How latency is measured."""

import time
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


class Sleeper:
    """Takes a known time, and is slow to put its input in place."""

    name = "sleeper"
    scale = 1
    input_size: tuple[int, int] | None = None
    threads = 3
    radius = None

    def __init__(self, milliseconds: list[float]) -> None:
        self.milliseconds = milliseconds
        self.calls = 0

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        return low_res.astype(np.float32)

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        time.sleep(0.05)
        return self.run

    def run(self) -> None:
        time.sleep(self.milliseconds[self.calls % len(self.milliseconds)] / 1000)
        self.calls += 1


def test_a_slow_runtime_is_timed_once_when_patience_is_over() -> None:
    slow = Sleeper([60])
    latency = measure(slow, 20, 30, runs=20, warmup=3, patience=0.05)
    assert (slow.calls, latency.runs) == (2, 1)
    assert latency.median >= 60


def test_median_leaves_out_warm_up_preparation_and_outliers() -> None:
    latency = measure(Sleeper([60, 10, 10, 60, 10, 10]), 20, 30, runs=5, warmup=1)
    assert 10 <= latency.median < 25
    assert latency.summary() == {
        "runtime": "sleeper",
        "threads": 3,
        "size": "30x20",
        "median": latency.median,
        "spread": latency.spread,
    }


def test_spread_is_between_the_quartiles() -> None:
    latency = measure(Sleeper([2, 2, 42, 42]), runs=8, warmup=0)
    assert 30 < latency.spread < 60


def test_runtimes_take_turns() -> None:
    order: list[str] = []

    class Noting(Sleeper):
        def run(self) -> None:
            order.append(self.name)

    first, second = Noting([0]), Noting([0])
    second.name = "other"
    compare_latency([first, second], runs=2, warmup=1)
    assert order == ["sleeper", "other"] * 3


def test_fixed_file_is_not_measured_at_another_size(xlsr: SRModel) -> None:
    runtime = LiteRTRuntime(float_model(trace(xlsr), 16, 16, resizable=False))
    assert measure(runtime, 16, 16, runs=3).median > 0
    with pytest.raises(UserError, match="fixed to"):
        measure(runtime, 16, 24)
