"""LiteRT's ``benchmark_model``: its command line, and what it prints.

The tool is one native program for Android, Linux and macOS. Its flags are those of
``tensorflow/lite/tools/benchmark/README.md``; older releases print no median.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sr_experiments.deploy.layers import Layer, Layers

DELEGATES = {
    "xnnpack": ("--use_xnnpack=true",),
    "none": ("--use_xnnpack=false",),
    "gpu": ("--use_gpu=true",),
    "nnapi": ("--use_nnapi=true",),
}
PROFILER = "LiteRT's profiler on the phone, mean"
MICROSECONDS = 1000  # of a millisecond

_STATISTICS = re.compile(r"count=(\d+) (.*)")
_TIMINGS = re.compile(r"Inference timings in us: Init: ([\d.]+), First inference: ([\d.]+),")
_MEMORY = re.compile(r"[Mm]emory footprint.*\(MB\): init=\S+ overall=([\d.]+)")
_PROFILE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
# Type, times (start in old releases, first, average), two percentages, memory, calls, name.
_OPERATOR = re.compile(
    r"^\s*(.+?)\s+((?:[\d.]+\s+){2,3})[\d.]+%\s+[\d.]+%\s+[-\d.]+\s+(\d+)\s+(\S.*)$"
)


@dataclass(frozen=True)
class ToolResult:
    """What the tool measured; milliseconds.

    Attributes:
        runs: How many counted.
        mean: Of their times.
        deviation: Standard deviation of their times.
        minimum: Shortest.
        maximum: Longest.
        median: None where the tool is too old to say.
        first: The very first run.
        start: Opening the file.
        memory: MiB beyond those of the tool; None where the system does not tell.
        layers: Each operator; None where they were not asked for.
    """

    runs: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    median: float | None
    first: float
    start: float
    memory: float | None
    layers: Layers | None

    @property
    def typical(self) -> float:
        """The median, or the mean where there is none."""
        return self.mean if self.median is None else self.median


def arguments(
    graph: str,
    *,
    threads: int,
    runs: int,
    warmup: int,
    delegate: str,
    layers: bool,
    size: tuple[int, int] | None,
) -> list[str]:
    """Words after the tool's name.

    Args:
        graph: Path of the ``.tflite`` file, where the tool runs.
        threads: Of the CPU.
        runs: Runs that count.
        warmup: Runs before them.
        delegate: A key of ``DELEGATES``.
        layers: Profile every operator.
        size: Height and width of the input, where the file leaves them open.
    """
    words = [
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--num_runs={runs}",
        f"--warmup_runs={warmup}",
        "--min_secs=0",  # exactly as many runs as asked for, not at least a second of them
        "--warmup_min_secs=0",
        *DELEGATES[delegate],
    ]
    if size is not None:
        words += ["--input_layer=input", f"--input_layer_shape=1,{size[0]},{size[1]},3"]
    if layers:
        words.append("--enable_op_profiling=true")
    return words


def read(printed: str) -> ToolResult | None:
    """What the tool printed; None where it did not get to the end.

    Args:
        printed: Everything, in any order of its streams.
    """
    statistics = _STATISTICS.findall(printed.partition(_PROFILE)[0].partition("Profiling Info")[0])
    timings = _TIMINGS.search(printed)
    if not statistics or timings is None:
        return None
    # The runs that count come last; a single run has only `curr`.
    count, rest = statistics[-1]
    values = {
        key: float(value) / MICROSECONDS
        for key, value in (pair.split("=") for pair in rest.split() if "=" in pair)
    }
    only = values.get("curr", 0.0)
    memory = _MEMORY.search(printed)
    operators = _operators(printed)
    return ToolResult(
        runs=int(count),
        mean=values.get("avg", only),
        deviation=values.get("std", 0.0),
        minimum=values.get("min", only),
        maximum=values.get("max", only),
        median=values.get("median"),
        first=float(timings[2]) / MICROSECONDS,
        start=float(timings[1]) / MICROSECONDS,
        memory=None if memory is None else float(memory[1]),
        layers=Layers(PROFILER, operators) if operators else None,
    )


def complaint(printed: Sequence[str]) -> str:
    """The lines that say why a run failed, or the last ones."""
    errors = [line for line in printed if line.startswith(("ERROR", "FATAL")) or "error" in line]
    return "\n  ".join(errors[-5:] or printed[-5:]) or "it printed nothing"


def _operators(printed: str) -> list[Layer]:
    _, found, profile = printed.partition(_PROFILE)
    if not found:
        return []
    rows: list[Layer] = []
    # One table in run order; the same rows, sorted, and sums of them follow.
    for line in profile.partition("Top by Computation Time")[0].splitlines():
        match = _OPERATOR.match(line)
        if match is not None:
            kind, times, calls, name = match.groups()
            milliseconds = float(times.split()[-1]) * int(calls)
            rows.append(Layer(len(rows), kind, name, milliseconds))
    return rows
