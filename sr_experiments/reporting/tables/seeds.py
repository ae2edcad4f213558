"""What INT8 costs runs that differ in their seed alone, in every mode that they were tested in.

A run tells of one mode at its end, and of others in the stages that list some under ``test``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from sr_experiments.reporting.run_folder import without
from sr_experiments.reporting.tables.table import Cell
from sr_experiments.reporting.tables.trained import TrainedRun

BICUBIC, FLOATING, INT8 = "bicubic", "fp32", "int8"
AFTER, PER_TENSOR, ON_THE_GRID = "ptq", "ptq_per_tensor", "qat"
MODES = (AFTER, PER_TENSOR, ON_THE_GRID, "qat_per_tensor")
# What runs are not told apart by.
NO_PART = ("seed", "paths", "data_dir", "cache_dir", "resume")


@dataclass(frozen=True)
class Tested:
    """A file of a run on a set, and the FP32 network it is compared with.

    Attributes:
        fp32: dB.
        int8: dB.
    """

    fp32: float
    int8: float

    @property
    def drop(self) -> float:
        """DB that INT8 costs."""
        return self.fp32 - self.int8


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes:
        mean: Of the values.
        deviation: Their standard deviation; None of a single one.
        count: How many.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of at least one value.

        Example:
            >>> Spread.of([1.0, 2.0, 3.0])
            Spread(mean=2.0, deviation=1.0, count=3)
        """
        listed = list(values)
        return cls(fmean(listed), stdev(listed) if len(listed) > 1 else None, len(listed))


@dataclass
class Seeds:
    """Runs of one configuration but for the seed.

    Attributes:
        model: Option of ``conf/model``.
        options: The network's.
        runs: One a seed.
    """

    model: str
    options: Mapping[str, Any]
    runs: list[TrainedRun] = field(default_factory=list)

    @property
    def clipped(self) -> bool | None:
        """Whether the network clips its output; None where it has no such option."""
        value = self.options.get("clip_output")
        return value if isinstance(value, bool) else None

    def tested(self, mode: str, set_name: str, metric: str) -> list[Tested]:
        """A file of each run in a mode, on a set; without the runs that have none."""
        found = (tested(run, set_name, metric).get(mode) for run in self.runs)
        return [item for item in found if item is not None]


def by_seed(runs: Sequence[TrainedRun]) -> list[Seeds]:
    """Runs that differ in nothing but the seed, together, in the order of their first."""
    groups: dict[str, Seeds] = {}
    for run in runs:
        key = json.dumps([run.model, without(run.config, NO_PART)], sort_keys=True)
        group = groups.setdefault(key, Seeds(run.model, run.config.get("model", {})))
        group.runs.append(run)
    return list(groups.values())


def tested(run: TrainedRun, set_name: str, metric: str) -> dict[str, Tested]:
    """The files of a run on a set, by mode; of two in one mode, the later."""
    files: dict[str, Tested] = {}
    stages = run.summary.get("stages", [])
    for stage in stages:
        rows = stage.get("test", {}).get(set_name, {})
        for mode in rows.keys() - {BICUBIC, FLOATING}:
            files[mode] = Tested(rows[FLOATING][metric], rows[mode][metric])
    rows = run.summary.get("test", {}).get(set_name, {})
    if stages and INT8 in rows:
        files[stages[-1]["quantization"]] = Tested(rows[FLOATING][metric], rows[INT8][metric])
    return files


def cells(name: str, spread: Spread | None) -> dict[str, Cell]:
    """Mean and deviation as the cells ``<name>`` and ``<name>_sd``."""
    if spread is None:
        return {name: None, f"{name}_sd": None}
    return {name: spread.mean, f"{name}_sd": spread.deviation}
