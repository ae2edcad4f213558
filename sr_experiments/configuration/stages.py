"""The stages of a run: each the run's configuration with some words of its own.

A stage is composed as a command line is: its words come first, what the user typed after them.
So a user's word wins over the same key of every stage, and a stage may choose any option that
a command line may. A user's value of an option that a stage replaces is left out of that stage.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import yaml
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.compose import check_with_choices, compose, parse
from sr_experiments.configuration.locations import config_dir, groups
from sr_experiments.errors import UserError

SINGLE = "training"  # how the one stage of a run without stages is called
_ABSENT = object()
KEYS = ("name", "epochs", "collapse", "test", "overrides")
OF_THE_RUN = (
    "stages", "experiment", "debug", "budget", "resume", "fail_fast", "objective", "run_name",
    "init_from", "pretrained", "paths", "logger", "hydra", "sweeps", "trainer.devices",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One training of a run.

    Attributes:
        number: From 1.
        name: Part of its files' names.
        config: Composed configuration.
        choices: Group to chosen option, such as ``loss: l1``.
        model_keys: Keys below ``model`` that this stage sets.
        collapse: Whether it goes on with the folded network.
        tests: Option to node of ``quantization``: the modes in which what the stage leaves is
            scored on the test sets.
        single: Whether the run was given without stages.
    """

    number: int
    name: str
    config: DictConfig
    choices: Mapping[str, str]
    model_keys: tuple[str, ...] = ()
    collapse: bool = False
    tests: Mapping[str, DictConfig] = field(default_factory=dict)
    single: bool = False

    @property
    def resolved(self) -> dict[str, Any]:
        """Plain configuration without interpolations."""
        plain = OmegaConf.to_container(self.config, resolve=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Put the stage's name before a user's error, where there are stages."""
        try:
            yield
        except UserError as error:
            if self.single:
                raise
            raise UserError(f"stage {self.name}: {error}") from error


def plan(words: Sequence[str]) -> list[Stage]:
    """Compose and check every stage of a command line.

    Args:
        words: As typed, ``group=option`` or ``key=value``.

    Returns:
        At least one stage, in the order in which they run.

    Raises:
        UserError: Of the configuration, or of a stage, which is then named.
    """
    return list(_plan(tuple(words)))


@lru_cache(maxsize=32)  # a command line is checked once before torch is there, and once after
def _plan(words: tuple[str, ...]) -> list[Stage]:
    base, choices = check_with_choices(words)
    if base.stages is None:
        return [Stage(1, SINGLE, base, choices, single=True)]
    if not OmegaConf.is_list(base.stages) or not base.stages:
        raise UserError("stages is not a list of stages; stages=null trains without")
    entries = OmegaConf.to_container(base.stages, resolve=True)
    assert isinstance(entries, list)
    described = [_described(entry, number) for number, entry in enumerate(entries, 1)]
    names = [name for name, *_ in described]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"stages: two are called {name}; give each a name of its own")
    stages = []
    for number, (name, collapse, tests, lines) in enumerate(described, 1):
        try:
            stages.append(
                replace(_stage(number, name, lines, words), collapse=collapse, tests=_modes(tests))
            )
        except UserError as error:
            raise UserError(f"stage {name}: {error}") from error
    return stages


def changes(base: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    """Root keys and groups of a stage whose resolved values are not the run's own."""
    return {
        key: value
        for key, value in stage.resolved.items()
        if key != "stages" and (key not in base or base[key] != value)
    }


def _described(entry: Any, number: int) -> tuple[str, bool, list[str], list[str]]:
    """Name, collapse, tested modes and words of an entry of ``stages``."""
    if not isinstance(entry, dict):
        raise UserError(f"stages: entry {number} is no mapping with {', '.join(KEYS)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(
            f"stages: entry {number} needs a name of letters, digits, - and _, not {name}"
        )
    unknown = sorted(set(map(str, entry)) - set(KEYS))
    if unknown:
        raise UserError(f"stage {name}: unknown key {unknown[0]} (keys: {', '.join(KEYS)})")
    collapse, lines = entry.get("collapse", False), entry.get("overrides") or []
    tests = entry.get("test") or []
    if not isinstance(collapse, bool):
        raise UserError(f"stage {name}: collapse={collapse} is not true or false")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UserError(f"stage {name}: overrides is not a list of words such as loss=l1")
    unclear = [line for line in lines if not line.startswith("~") and "=" not in line]
    if unclear:
        raise UserError(
            f"stage {name}: {unclear[0]!r} is not of the form key=value or group=option"
        )
    if not isinstance(tests, list) or not all(isinstance(mode, str) for mode in tests):
        raise UserError(f"stage {name}: test is not a list of modes such as ptq")
    if entry.get("epochs") is not None:
        lines = [*lines, f"trainer.epochs={entry['epochs']}"]
    return name, collapse, tests, lines


def _modes(options: list[str]) -> dict[str, DictConfig]:
    """The nodes of some options of ``quantization``, each with its defaults."""
    return {option: compose([f"quantization={option}"]).quantization for option in options}


def _stage(number: int, name: str, lines: list[str], words: Sequence[str]) -> Stage:
    typed = set(_typed(words))
    kept = []
    for item in parse(lines):
        key = _key(item)
        for whole in {key, key.partition(".")[0]} & {*OF_THE_RUN}:
            raise UserError(f"{item.input_line}: {whole} is of the whole run, not of a stage")
        if key == "model":
            raise UserError(
                f"{item.input_line}: one network goes through all stages, which may change its "
                "options, such as model.activation=relu"
            )
        if key not in typed:
            kept.append(item)
    kept = list(_fitting(kept, typed, words))
    own = [item.input_line or "" for item in kept]
    merged = [*own, *_meant_for(own, words)]
    config, choices = check_with_choices(merged)
    model_keys = tuple(_key(item) for item in kept if _key(item).startswith("model."))
    return Stage(number, name, config, choices, model_keys)


def _fitting(items: list[Override], typed: set[str], words: Sequence[str]) -> Iterator[Override]:
    """Leave out values of an option that the user has replaced by one that lacks them."""
    replaced = {key.partition("/")[0] for key in typed if _is_group(key)}
    doubtful = [
        item
        for item in items
        if not _is_group(_key(item)) and _key(item).partition(".")[0] in replaced
    ]
    if doubtful:
        chosen = [item.input_line or "" for item in items if _is_group(_key(item))]
        config = compose([*chosen, *_meant_for(chosen, words)])
    for item in items:
        if item in doubtful and OmegaConf.select(config, _key(item), default=_ABSENT) is _ABSENT:
            continue
        yield item


def _meant_for(own: Sequence[str], words: Sequence[str]) -> list[str]:
    """Leave out values of an option of the run that the stage has replaced by one without them."""
    replaced = {_key(item).partition("/")[0] for item in parse(own) if _is_group(_key(item))}
    doubtful = {
        item.input_line: _key(item)
        for item in parse(words)
        if item.type is OverrideType.CHANGE
        and not _is_group(_key(item))
        and _key(item).partition(".")[0] in replaced
    }
    if not doubtful:
        return [*words]
    config = compose([*own, *(word for word in words if word not in doubtful)])
    absent = {
        line
        for line, key in doubtful.items()
        if OmegaConf.select(config, key, default=_ABSENT) is _ABSENT
    }
    return [word for word in words if word not in absent]


def _typed(words: Sequence[str]) -> Iterator[str]:
    """Keys and groups that a command line sets, by itself or by its ``debug=``."""
    for item in parse(words):
        yield _key(item)
        if _key(item) == "debug" and item.value() is not None:
            file = config_dir() / PurePath("debug", f"{item.value()}.yaml")
            yield from _set_by(yaml.safe_load(file.read_text(encoding="utf-8")))


def _set_by(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in content.items():
        if name == "defaults":
            for entry in value:
                if isinstance(entry, dict):
                    yield from (key.removeprefix("override ").lstrip("/") for key in entry)
        elif isinstance(value, dict):
            yield from _set_by(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _key(item: Override) -> str:
    return str(item.key_or_group)


def _is_group(key: str) -> bool:
    return "." not in key and key.partition("/")[0] in groups()
