"""What enlarging one frame takes, and how that was measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np

from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.errors import UserError


@dataclass(frozen=True)
class Latency:
    """Time of the network alone, with its input in place and its output left where it is.

    Attributes:
        runtime: Name of the runtime.
        threads: CPU threads.
        size: ``widthxheight`` of the low-resolution frame.
        median: Milliseconds.
        spread: Interquartile range in milliseconds.
        runs: How many were measured.
    """

    runtime: str
    threads: int
    size: str
    median: float
    spread: float
    runs: int

    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return {
            "runtime": self.runtime,
            "threads": self.threads,
            "size": self.size,
            "median": self.median,
            "spread": self.spread,
        }


def measure(
    runtime: Runtime,
    height: int = 360,
    width: int = 640,
    runs: int = 20,
    warmup: int = 3,
    patience: float = math.inf,
) -> Latency:
    """Time a runtime on one frame.

    Args:
        runtime: Any network.
        height: Of the low-resolution frame.
        width: Of the frame.
        runs: Runs that count.
        warmup: Runs before them that do not.
        patience: Seconds after which one run that counts is enough.

    Raises:
        UserError: If the runtime is fixed to another size.
    """
    return compare_latency([runtime], height, width, runs, warmup, patience)[0]


def compare_latency(
    runtimes: list[Runtime],
    height: int = 360,
    width: int = 640,
    runs: int = 20,
    warmup: int = 3,
    patience: float = math.inf,
) -> list[Latency]:
    """Time runtimes in turn, one run of each after the other; see `measure`.

    So whatever else the machine does slows all of them alike; compare medians of one call only.
    """
    for runtime in runtimes:
        if runtime.input_size not in (None, (height, width)):
            raise UserError(f"{runtime.name} is fixed to {runtime.input_size}: measure it at that")
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    calls = [runtime.prepare(frame) for runtime in runtimes]
    times = time_in_turn(calls, runs, warmup, patience)
    return [
        Latency(
            runtime.name, runtime.threads, f"{width}x{height}", median(row), _spread(row), len(row)
        )
        for runtime, row in zip(runtimes, times, strict=True)
    ]


def time_in_turn(
    calls: Sequence[Callable[[], object]], runs: int, warmup: int, patience: float = math.inf
) -> list[list[float]]:
    """Milliseconds of each run of each call, one run of each after the other.

    Args:
        calls: What is timed.
        runs: Runs of each that count.
        warmup: Runs of each before them that do not.
        patience: Seconds after which one run that counts is enough.
    """
    times: list[list[float]] = [[] for _ in calls]
    begun = time.perf_counter()
    for number in range(warmup + runs):
        late = number > 0 and time.perf_counter() - begun > patience
        if late and any(times):
            break
        for call, row in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if late or number >= warmup:
                row.append(1000 * (time.perf_counter() - start))
    return times


def _spread(row: list[float]) -> float:
    if len(row) < 2:
        return 0.0
    first, _, third = quantiles(row, n=4)
    return third - first
