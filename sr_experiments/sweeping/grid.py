"""Which jobs a sweep has, and what their folders are called."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from sr_experiments.configuration.compose import compose, parse
from sr_experiments.configuration.search import samples
from sr_experiments.configuration.verbs import plain
from sr_experiments.errors import UserError

LONGEST = 120  # characters of a folder's name


def left_to_jobs(overrides: Sequence[str]) -> list[str]:
    """Make words about something that only an axis chooses axes of one choice.

    Hydra composes a sweep before its axes have values, and refuses what it does not know then.
    """

    def known(words: Sequence[str]) -> bool:
        try:
            compose(words, hydra=True)
        except UserError:
            return False
        return True

    plain = [item.input_line or "" for item in parse(overrides) if not item.is_sweep_override()]
    if known(plain):
        return list(overrides)
    kept: list[str] = []
    later = dict[str, str]()
    for line in plain:
        key, _, value = line.partition("=")
        if known([*kept, line]) or value in ("", "null"):
            kept.append(line)
        else:
            later[line] = f"{key}=choice({value})"
    return [later.get(line, line) for line in overrides]


def grid(overrides: Sequence[str]) -> list[list[str]]:
    """Command line of every job of a grid; of a sampled sweep, every choice of each axis once.

    Args:
        overrides: The command line's, ``+sweeps=name`` among them.

    Raises:
        UserError: One is wrong.
    """
    given_items = parse(overrides)
    fixed_items = [item for item in given_items if not item.is_sweep_override()]
    config = without_axes(overrides)
    params = config.hydra.sweeper.get("params") or {}
    lines = [f"{key}={value}" for key, value in params.items()]
    given = {item.get_key_element() for item in given_items}
    axes = [
        item
        for item in parse([*lines, *overrides])
        if item.is_sweep_override()
        and (item.input_line in overrides or item.get_key_element() not in given)
    ]
    fixed = [
        line
        for line, item in zip(lines, parse(lines), strict=True)
        if not item.is_sweep_override() and item.get_key_element() not in given
    ]
    base = [item.input_line or "" for item in fixed_items] + fixed
    choices = [_choices(axis) for axis in axes]
    if samples(config):
        first = [choice[0] for choice in choices]
        picks = [
            [*first[:index], value, *first[index + 1 :]]
            for index, values in enumerate(choices)
            for value in values
        ]
        return [[*base, *pick] for pick in picks or [first]]
    return [[*base, *pick] for pick in itertools.product(*choices)]


def _choices(axis: Override) -> list[str]:
    key = axis.get_key_element()
    if axis.is_interval_sweep():
        interval = axis.value()
        return [f"{key}={interval.start}", f"{key}={interval.end}"]  # type: ignore[union-attr]
    return [f"{key}={value}" for value in axis.sweep_string_iterator()]


def without_axes(overrides: Sequence[str]) -> DictConfig:
    """The configuration that all jobs of a sweep share, with its ``hydra`` node."""
    kept = [item for item in parse(overrides) if not item.is_sweep_override()]
    return compose([item.input_line or "" for item in kept], hydra=True)


def axes(jobs: Sequence[Sequence[str]]) -> frozenset[str]:
    """Keys whose values differ between jobs: what a job's folder is named by."""
    values: dict[str, set[str]] = {}
    for item in itertools.chain.from_iterable(jobs):
        key, _, value = item.partition("=")
        values.setdefault(key, set()).add(value)
    return frozenset(key for key, seen in values.items() if len(seen) > 1)


@dataclass(frozen=True)
class Naming:
    """What the folders of a sweep and of its jobs are called.

    Attributes:
        axes: Keys that vary.
        hashed: Whether every name ends in a hash, for without it two jobs would share one.
    """

    axes: frozenset[str]
    hashed: bool = False

    @classmethod
    def of(cls, jobs: Sequence[Sequence[str]]) -> "Naming":
        """How to name these jobs."""
        simple = cls(axes(jobs))
        distinct = {tuple(sorted(simple._varied(job))) for job in jobs}
        return cls(simple.axes, len({simple.job(job) for job in jobs}) < len(distinct))

    def sweep(self, config: DictConfig, overrides: Sequence[str]) -> str:
        """Name of the sweep's folder below ``paths.output_dir``."""
        named = [item.removeprefix("+sweeps=") for item in overrides if item.startswith("+sweeps=")]
        return str(config.run_name or (named[0] if named else "multirun"))

    def folder(self, config: DictConfig, overrides: Sequence[str]) -> Path:
        """The sweep's folder."""
        return Path(str(config.paths.output_dir), self.sweep(config, overrides))

    def job(self, overrides: Sequence[str]) -> str:
        """Name of a job's folder within the sweep's."""
        varied = self._varied(overrides)
        name = plain(",".join(varied))
        if len(name) <= LONGEST and not self.hashed:
            return name
        whole = ",".join(sorted(varied)) if self.hashed else name
        return f"{name[: LONGEST - 13]}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"

    def _varied(self, overrides: Sequence[str]) -> list[str]:
        return [item for item in overrides if item.partition("=")[0] in self.axes]
