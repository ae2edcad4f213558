"""What enlarging one frame takes, and how that was measured."""

from __future__ import annotations

import time
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
    runtime: Runtime, height: int = 360, width: int = 640, runs: int = 20, warmup: int = 3
) -> Latency:
    """Time a runtime on one frame.

    Args:
        runtime: Any network.
        height: Of the low-resolution frame.
        width: Of the frame.
        runs: Runs that count.
        warmup: Runs before them that do not.

    Raises:
        UserError: If the runtime is fixed to another size.
    """
    return compare_latency([runtime], height, width, runs, warmup)[0]


def compare_latency(
    runtimes: list[Runtime], height: int = 360, width: int = 640, runs: int = 20, warmup: int = 3
) -> list[Latency]:
    """Time runtimes in turn, one run of each after the other.

    So whatever else the machine does slows all of them alike; compare medians of one call only.
    """
    for runtime in runtimes:
        if runtime.input_size not in (None, (height, width)):
            raise UserError(f"{runtime.name} is fixed to {runtime.input_size}: measure it at that")
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    prepared = [runtime.prepare(frame) for runtime in runtimes]
    times: list[list[float]] = [[] for _ in runtimes]
    for number in range(warmup + runs):
        for run, row in zip(prepared, times, strict=True):
            start = time.perf_counter()
            run()
            if number >= warmup:
                row.append(1000 * (time.perf_counter() - start))
    return [
        Latency(runtime.name, runtime.threads, f"{width}x{height}", median(row), _spread(row), runs)
        for runtime, row in zip(runtimes, times, strict=True)
    ]


def _spread(row: list[float]) -> float:
    if len(row) < 2:
        return 0.0
    first, _, third = quantiles(row, n=4)
    return third - first
