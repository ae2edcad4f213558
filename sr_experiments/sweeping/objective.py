"""What a sampled sweep goes by: one number of a finished job, or several."""

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr_experiments.errors import UserError


def names(config: DictConfig) -> list[str] | None:
    """The names in ``objective``; None of a single one or where it is not given.

    Args:
        config: Of a job.

    Raises:
        UserError: It is neither a name nor a list of names.
    """
    given = OmegaConf.select(config, "objective")
    listed = list(given) if OmegaConf.is_list(given) else None
    for name in [given] if listed is None else listed:
        if not (name is None and listed is None) and not isinstance(name, str):
            raise UserError(f"objective={given} is neither a name of summary.json nor a list")
    return listed


def no_answer(config: DictConfig) -> float | list[float]:
    """What a sampler is told of a job that has no result."""
    listed = names(config)
    return math.nan if listed is None else [math.nan] * len(listed)


def answer(config: DictConfig, summary: Mapping[str, Any]) -> float | list[float]:
    """What a sampler is told of a finished job.

    Args:
        config: Of the job. Without ``objective``, the best value of the metric that the best
            network is chosen by, on the validation set.
        summary: Content of its ``summary.json``.

    Raises:
        UserError: The summary has no such number.
    """
    listed = names(config)
    if listed is not None:
        return [_number(name, summary) for name in listed]
    if config.objective is not None:
        return _number(config.objective, summary)
    metric = config.task.get("best_by", "val/psnr")
    return float(summary["stages"][-1].get(metric, math.nan))


def _number(name: str, summary: Mapping[str, Any]) -> float:
    """A validation metric of the last stage, or a dotted place in the summary."""
    last = (summary.get("stages") or [{}])[-1]
    value: Any = last.get(name)
    if value is None:
        value = summary
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        measured = sorted(key for key in last if key.startswith("val"))
        raise UserError(
            f"objective={name} is no number of this job's summary.json; it has "
            f"{', '.join(measured)}, and places such as int8_drop, latency_ms.median, params"
        )
    return float(value)
