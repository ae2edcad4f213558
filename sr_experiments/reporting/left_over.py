"""Runs that a command began and cannot take up, since what its words mean has changed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import (
    NOT_PART_OF_THE_EXPERIMENT,
    PLACES,
    RunFolder,
    without,
)

NAMED = 3  # changed options that are named


def left_over(folder: RunFolder, words: Sequence[str], config: Mapping[str, Any]) -> Iterator[str]:
    """A sentence on each unfinished run beside ``folder`` that the same words began.

    Args:
        folder: A new run.
        words: As typed.
        config: What they resolve to now.
    """
    for file in sorted(folder.path.parent.glob("*/overrides.yaml")):
        other = RunFolder(file.parent)
        if other.path == folder.path or other.status() in (None, "finished"):
            continue
        try:
            lines, before = file.read_text(encoding="utf-8").splitlines(), other.config()
        except (OSError, ValueError, UserError):
            continue  # no run that anything could go on with
        same = _told([line.removeprefix("- ") for line in lines]) == _told(words)
        if same and (changed := _changed(before, config)):
            named = ", ".join(changed[:NAMED])
            more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
            yield (
                f"{other.path} is {other.status()} and was begun by this command when "
                f"{named}{more} meant something else or did not exist. It stays as it is, and a "
                f"new run begins in {folder.path.name}; the version that began it can go on with it"
            )


def _told(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith(("paths.", "resume="))]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Options of an experiment that only one of two configurations has, or with another value."""
    one, other = (
        dict(_options({k: v for k, v in config.items() if k not in NOT_PART_OF_THE_EXPERIMENT}))
        for config in (before, now)
    )
    missing = object()
    return [key for key in {**other, **one} if one.get(key, missing) != other.get(key, missing)]


def _options(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in without(node, PLACES).items():
            yield from _options(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, without(node, PLACES)
