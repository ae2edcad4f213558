"""``python -m sr_experiments``: train one network, or every network of a sweep.

Help and refusals come first and import neither torch nor lightning.
"""

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments import __version__
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

MULTIRUN = ("-m", "--multirun")
SHOW = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 2 after a user's mistake."""
    words = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(words):
        from sr_experiments.configuration.help import help_text

        print(help_text())
        return
    if "--version" in words:
        print(f"sr_experiments {__version__}")
        return
    from sr_experiments.configuration.verbs import run_verb

    run_verb(lambda: _launch(words))


def _launch(words: list[str]) -> None:
    from sr_experiments.configuration.compose import SEARCH_PATH
    from sr_experiments.configuration.locations import config_root
    from sr_experiments.configuration.stages import plan

    words = _sweep_by_name(words)
    flags = [word for word in words if word.startswith("-")]
    overrides = [word for word in words if not word.startswith("-")]
    show = [word for word in words if word in SHOW]
    multirun = any(flag in MULTIRUN for flag in flags)
    if not show:
        unclear = [word for word in words if not word.startswith(("-", "~")) and "=" not in word]
        if unclear:
            raise UserError(f"{unclear[0]!r} is not of the form key=value or group=option")
        if multirun:
            overrides = _left_to_jobs(overrides)
            words = [*flags, *overrides]
        jobs = _grid(overrides) if multirun else [overrides]
        for job in jobs:
            plan(job)
    else:
        jobs = []
    from hydra import main as hydra_main

    failures: list[str] = []
    folders: set[Path] = set()
    stopped: list[BaseException] = []
    axes = _axes(jobs)
    if multirun:
        _preflight(jobs)

    def task(config: "DictConfig") -> float:
        if stopped:
            return math.nan
        try:
            return _train(config, failures, folders, axes if multirun else None)
        except BaseException as error:  # Hydra would print its own shortened traceback
            stopped.append(error)
            return math.nan

    sys.argv = [sys.argv[0], *_in_order(words, SEARCH_PATH.format(root=config_root()))]
    from sr_experiments.configuration.locations import config_dir

    try:
        with _study(overrides) if multirun else nullcontext([]) as gained:
            sys.argv += gained
            hydra_main(version_base="1.3", config_path=str(config_dir()), config_name="config")(
                task
            )()
    except ValueError:  # a sampler that not a single job has answered
        if not (stopped or failures):
            raise
    for folder in folders:
        _conclude(folder, words)
    if stopped:
        raise stopped[0]
    if failures:
        print(f"\n{len(failures)} of {len(jobs)} jobs failed:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in failures), file=sys.stderr)
        raise SystemExit(1)


def _study(overrides: list[str]) -> "AbstractContextManager[list[str]]":
    """Words that keep a sampled sweep's study in its folder; see `study_words`."""
    from sr_experiments.configuration.search import study_words

    config = _without_axes(overrides)
    return study_words(config, Path(str(config.paths.output_dir), _folder(config, overrides)))


def _without_axes(overrides: list[str]) -> "DictConfig":
    """The configuration that all jobs of a sweep share, with its ``hydra`` node."""
    from sr_experiments.configuration.compose import compose, parse

    plain = [item for item in parse(overrides) if not item.is_sweep_override()]
    return compose([item.input_line or "" for item in plain], hydra=True)


def _folder(config: "DictConfig", overrides: Sequence[str]) -> str:
    """Name of a sweep's folder."""
    named = [item.removeprefix("+sweeps=") for item in overrides if item.startswith("+sweeps=")]
    return str(config.run_name or (named[0] if named else "multirun"))


def _conclude(folder: Path, words: Sequence[str]) -> None:
    """Print the sweep's table, and write ``summary.csv``, ``.md``, ``.tex`` and ``.html`` into it.

    A sweep of a paper's table prints that as well, ours beside it.
    """
    import shlex

    from sr_experiments.reporting.comparison.page import sweep_page
    from sr_experiments.reporting.tables.glasses import beside_paper
    from sr_experiments.reporting.tables.render import deliver

    if any(folder.glob("*/summary.json")):
        command = f"python -m sr_experiments {shlex.join(words)}"
        sweep_page(folder, command)
        paper = beside_paper(folder)
        if paper is not None:
            deliver(paper, command, folder)


def _in_order(words: list[str], search_path: str) -> list[str]:
    """Hydra's parser takes overrides only side by side: flags first, then all of these."""
    flags = [word for word in words if word in MULTIRUN]
    rest = [word for word in words if word not in flags]
    overrides = [place for place, word in enumerate(rest) if "=" in word and word[0] != "-"]
    place = overrides[0] if overrides else len(rest)
    return [*flags, *rest[:place], search_path, *rest[place:]]


def _sweep_by_name(words: list[str]) -> list[str]:
    """``sweep=name`` starts the multirun of ``sweeps/name.yaml`` by itself."""
    named = [word for word in words if word.startswith("sweep=")]
    if not named:
        return words
    rest = [word for word in words if word not in named]
    return [*rest, *(f"+sweeps={word.removeprefix('sweep=')}" for word in named), "--multirun"]


def _left_to_jobs(overrides: list[str]) -> list[str]:
    """Make words about something that only an axis chooses axes of one choice.

    Hydra composes a sweep before its axes have values, and refuses what it does not know then.
    """
    from sr_experiments.configuration.compose import compose, parse

    def known(words: Sequence[str]) -> bool:
        try:
            compose(words, hydra=True)
        except UserError:
            return False
        return True

    plain = [item.input_line or "" for item in parse(overrides) if not item.is_sweep_override()]
    if known(plain):
        return overrides
    kept: list[str] = []
    later = dict[str, str]()
    for line in plain:
        key, _, value = line.partition("=")
        if known([*kept, line]) or value in ("", "null"):
            kept.append(line)
        else:
            later[line] = f"{key}=choice({value})"
    return [later.get(line, line) for line in overrides]


def _grid(overrides: list[str]) -> list[list[str]]:
    """Command line of every job of a grid; of a sampled sweep, every choice of each axis once."""
    from sr_experiments.configuration.compose import parse
    from sr_experiments.configuration.search import samples

    plain = [item for item in parse(overrides) if not item.is_sweep_override()]
    config = _without_axes(overrides)
    params = config.hydra.sweeper.get("params") or {}
    lines = [f"{key}={value}" for key, value in params.items()]
    given = {item.get_key_element() for item in parse(overrides)}
    axes = [
        item
        for item in parse([*lines, *overrides])
        if item.is_sweep_override()
        and (item.input_line in overrides or item.get_key_element() not in given)
    ]
    fixed = [
        line for line, item in zip(lines, parse(lines), strict=True) if not item.is_sweep_override()
    ]
    base = [item.input_line or "" for item in plain] + fixed
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


def _choices(axis: "Override") -> list[str]:
    key = axis.get_key_element()
    if axis.is_interval_sweep():
        interval = axis.value()
        return [f"{key}={interval.start}", f"{key}={interval.end}"]  # type: ignore[union-attr]
    return [f"{key}={value}" for value in axis.sweep_string_iterator()]


def _preflight(jobs: list[list[str]]) -> None:
    """Run the preflight of every job before the first one starts; each network's hints once."""
    from sr_experiments import train
    from sr_experiments.configuration.compose import compose

    said: set[str] = set()
    for overrides in jobs:
        config = compose(overrides, hydra=True)
        choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
        plain = compose(overrides)
        try:
            hints = "\n".join(train.preflight(train.Job(plain, choices, overrides)))
        except UserError as error:
            raise UserError(f"{' '.join(overrides)}\n  {error}\nnothing was started") from error
        if hints and hints not in said:
            said.add(hints)
            print(hints)


def _axes(jobs: list[list[str]]) -> set[str]:
    """Keys whose values differ between jobs: what a job's folder is named by."""
    values: dict[str, set[str]] = {}
    for item in itertools.chain.from_iterable(jobs):
        key, _, value = item.partition("=")
        values.setdefault(key, set()).add(value)
    return {key for key, seen in values.items() if len(seen) > 1}


def _train(
    config: "DictConfig", failures: list[str], folders: set[Path], axes: set[str] | None
) -> float:
    """Train one job; ``axes`` name what varies in its sweep, None a single run.

    A sweep's folder joins ``folders``, a failed job ``failures``.

    Returns:
        What samplers of a sweep go by: the best value of the metric that the best network is
        chosen by, on the validation set; NaN of a failed job.
    """
    from hydra.core.hydra_config import HydraConfig

    from sr_experiments import train
    from sr_experiments.configuration.verbs import plain

    hydra = HydraConfig.get()
    overrides = [item for item in hydra.overrides.task if not item.startswith("hydra.")]
    sweep = None
    if axes is not None:
        varied = [item for item in overrides if item.partition("=")[0] in axes]
        sweep = (_folder(config, overrides), _short(plain(",".join(varied))))
    choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
    job = train.Job(config, choices, overrides, sweep)
    if axes is None:
        return _best(config, train.run(job))
    assert sweep is not None
    folders.add(Path(str(config.paths.output_dir), sweep[0]))
    try:
        return _best(config, train.run(job))
    except Exception as error:  # one job's failure must not stop the others
        failures.append(f"{' '.join(overrides)}: {error or repr(error)}")
        print(f"failed: {failures[-1]}", file=sys.stderr)
        return math.nan


def _best(config: "DictConfig", summary: Mapping[str, Any]) -> float:
    """What the last stage reached in the metric that its best network is chosen by."""
    metric = config.task.get("best_by", "val/psnr")
    return float(summary["stages"][-1].get(metric, math.nan))


def _short(name: str) -> str:
    """Folder names beyond 120 characters end in a hash of the whole."""
    if len(name) <= 120:
        return name
    import hashlib

    return f"{name[:107]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


if __name__ == "__main__":
    main()
