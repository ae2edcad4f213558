"""One run as its loggers see it, from ``open`` to the exit code."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from sr_experiments.reporting.distributions import Distribution
    from sr_experiments.reporting.loggers.results import Results

AXES = ("epoch", "iteration")
OVER_ITERATIONS = ("train", "lr")  # first parts of names; all others are measured once an epoch
OVER_EPOCHS = ("val*", "time/*", "study/*", "weights/*", "activations/*", "ranges/*")


@dataclass(frozen=True)
class LoggedRun:
    """What a logger is told of a run.

    Attributes:
        folder: The run folder.
        name: What differs from other runs.
        config: Resolved configuration.
        options: Group to chosen option, such as ``model: xlsr``.
        sweep: Name of the sweep that it is a job of; None without.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]
    options: Mapping[str, str]
    sweep: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The configuration with the options' names, which charts can be drawn by."""
        told = {
            group: option
            for group, option in self.options.items()
            if not group.startswith("hydra") and option != "None"
        }
        return {**self.config, "options": told}

    def identity(self, logger: str) -> str | None:
        """Under which id a logger knows the run; None before the first start."""
        file = self._identity_file(logger)
        return file.read_text("utf-8").strip() or None if file.is_file() else None

    def keep_identity(self, logger: str, identity: str) -> None:
        """Let a resumed run go on in the same record."""
        from sr_experiments.files import write_atomic

        write_atomic(self._identity_file(logger), identity + "\n")

    def _identity_file(self, logger: str) -> Path:
        return self.folder / f"{logger}_id"


class Opener(Protocol):
    """What the node ``logger`` makes."""

    def open(self, run: LoggedRun) -> "list[Logger]":
        """Start or continue the record of a run."""


@runtime_checkable
class RunLogger(Protocol):
    """What our loggers can be told beside Lightning's ``log_metrics`` and ``finalize``.

    Attributes:
        histograms: Epochs between two calls of ``log_distributions``; None: never.
    """

    histograms: int | None

    def log_distributions(
        self, distributions: "Sequence[Distribution]", axes: Mapping[str, int]
    ) -> None:
        """Take the weights and activations of an epoch."""

    def log_results(self, results: "Results") -> None:
        """Take the results of a finished run."""


def axis(metric: str) -> str:
    """What a metric's curve is drawn over: ``epoch`` or ``iteration``."""
    return "iteration" if metric.split("/")[0] in OVER_ITERATIONS else "epoch"


def steps(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """An epoch's row for loggers whose curves have one axis each: the metrics by their axis.

    The two axes themselves are curves over each other.
    """
    parts: dict[str, dict[str, float]] = {name: {} for name in AXES}
    for name, value in metrics.items():
        over = next(other for other in AXES if other != name) if name in AXES else axis(name)
        parts[over][name] = value
    return parts


def opened(opener: Opener, run: LoggedRun) -> "list[Logger]":
    """Open the loggers of a run, in the one process that keeps its record."""
    from lightning.pytorch.utilities import rank_zero_only

    return opener.open(run) if getattr(rank_zero_only, "rank", 0) == 0 else []


@contextmanager
def closing(loggers: "Sequence[Logger]") -> Iterator[None]:
    """Close the loggers at the end, with a failure's exit code when there was one."""
    try:
        yield
    except BaseException:
        for logger in loggers:
            logger.finalize("failed")
        raise
    for logger in loggers:
        logger.finalize("success")


def log_results(loggers: "Sequence[Logger]", folder: Path) -> None:
    """Send the results of a finished run.

    Args:
        loggers: All loggers of the run; those that only take numbers keep what they have.
        folder: The run folder.
    """
    from sr_experiments.reporting.loggers.results import Results

    takers = [logger for logger in loggers if isinstance(logger, RunLogger)]
    if takers:
        results = Results.of(folder)
        for logger in takers:
            logger.log_results(results)
