"""Other values of the options in ``conf/``, and whether they make a difference.

Of numbers and switches another value is derived. For all other options a table names one, or says
why none is tried; an option that is in neither fails its test, so a new one cannot be forgotten.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from skimage import data
from torch import Tensor

from sr_experiments.configuration.locations import config_dir
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale

Options = dict[str, Any]
HIDDEN = ("_target_", "_partial_")  # no options


@dataclass(frozen=True)
class Try:
    """Another value of an option; the first of them that is not its own.

    Attributes:
        values: To choose from.
        also: Options beside it that only make the value possible, set with it; from the top
            where they begin with a slash.
        given: Those without which it plays no part, set before and after.
    """

    values: tuple[Any, ...]
    also: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Only:
    """Why no other value is tried."""

    reason: str


Table = Mapping[str, Try | Only]
Observe = Callable[[Options], str]


def to(*values: Any, also: Options | None = None, given: Options | None = None) -> Try:
    """See `Try`."""
    return Try(values, also or {}, given or {})


def names(group: str) -> list[str]:
    """Options of a group, those of its subfolders left out."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


@cache
def _read(group: str, name: str) -> str:
    """A file with what it takes over from others, as JSON."""
    text = (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")
    if "defaults:" not in text:
        return json.dumps(OmegaConf.to_container(OmegaConf.create(text)) or {})
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(config_dir() / group), version_base="1.3"):
        return json.dumps(OmegaConf.to_container(compose(name)))


def options_of(group: str, name: str, **values: Any) -> Options:
    """What a file of ``conf/`` says, its interpolations as they stand.

    Args:
        group: Folder below ``conf``.
        name: Of the file.
        **values: In place of the file's, where it has such an option.
    """
    content: Options = json.loads(_read(group, name))
    return content | {key: value for key, value in values.items() if key in content}


def leaves(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of every option, dots between levels.

    A list is one value, and so is a part that has no options but its class.
    """
    for key, value in options.items():
        if key in HIDDEN:
            continue
        if isinstance(value, dict) and set(value) - {*HIDDEN}:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def changed(options: Options, values: Mapping[str, Any]) -> Options:
    """A copy with other values at some paths."""
    made = copy.deepcopy(options)
    for path, value in values.items():
        *above, last = path.split(".")
        node = made
        for key in above:
            node = node[key]
        node[last] = value
    return made


def _beside(path: str, values: Mapping[str, Any]) -> Options:
    """Options beside another, by their whole paths."""
    above = path.rpartition(".")[0]
    return {
        key[1:] if key.startswith("/") else f"{above}.{key}".lstrip("."): value
        for key, value in values.items()
    }


def _derived(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value, value + 2, value - 1, value - 2]
    if isinstance(value, float) and value:
        return [value * 0.5]
    return []


def alternative(place: str, path: str, value: Any, table: Table) -> Try | Only:
    """What to try in place of an option's value.

    Args:
        place: Group and file, for the table and for what is told.
        path: Of the option.
        value: Its own.
        table: By ``<file>.<path>``, by path, or by name; the first of these counts.

    Raises:
        AssertionError: There is nothing; with what to add.
    """
    for key in (f"{place.rpartition('/')[2]}.{path}", path, path.rpartition(".")[2]):
        if key not in table:
            continue
        found = table[key]
        if isinstance(found, Only):
            return found
        others = tuple(other for other in found.values if other != value)
        assert others, f"{place}: {path}={value!r} is all that the table has; add another value"
        return Try(others[:1], found.also, found.given)
    derived = _derived(value)
    assert derived, (
        f"{place}: add {path!r} to the table of its test, with another value than {value!r} "
        "(to(...)), or with the reason why it changes nothing to be seen (Only(...))"
    )
    return Try(tuple(derived))


def check_every_option(
    place: str,
    options: Options,
    table: Table,
    observe: Observe,
    memo: dict[str, str] | None = None,
) -> None:
    """Whether each option, changed by itself, changes what is observed.

    Args:
        place: Group and file.
        options: Of the file.
        table: See `alternative`.
        observe: What the options do, as a digest, the same one every time.
        memo: What was observed of other files, to be spared.

    Raises:
        AssertionError: One does nothing, or has no other value; it is named.
    """
    memo = {} if memo is None else memo

    def seen(content: Options) -> str:
        key = json.dumps(content, sort_keys=True, default=str)
        if key not in memo:
            memo[key] = observe(content)
        return memo[key]

    for path, value in leaves(options):
        tried = alternative(place, path, value, table)
        if isinstance(tried, Only):
            continue
        base = changed(options, _beside(path, tried.given))
        also = _beside(path, tried.also)
        before = seen(base)
        for other in tried.values:
            try:
                after = seen(changed(base, {path: other} | also))
            except UserError:
                if other is tried.values[-1]:
                    raise
                continue
            assert after != before, f"{place}: {path}={other!r} does what {value!r} does"
            break
    assert observe(options) == seen(options), f"{place} is not the same twice"


def digest(*values: Any) -> str:
    """Of tensors, bytes, and whatever else says all there is with ``repr``.

    Floating point counts to three digits, so that a sum in another order is no change.
    """
    total = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            total.update(f"{value.dtype} {tuple(value.shape)}".encode())
            total.update(_coarse(value).numpy().tobytes())
        elif isinstance(value, bytes):
            total.update(value)
        elif isinstance(value, Mapping):
            total.update(digest(*(part for item in value.items() for part in item)).encode())
        elif isinstance(value, list | tuple):
            total.update(digest("list", *value).encode() if value else b"empty")
        else:
            total.update(repr(value).encode())
    return total.hexdigest()


def _coarse(values: Tensor) -> Tensor:
    """Twelve bits of each mantissa."""
    values = values.detach().cpu()
    if not values.is_floating_point():
        return values
    mantissa, exponent = torch.frexp(values.double())
    return torch.ldexp((mantissa * 2**12).round(), exponent) + 0.0  # no negative zero


def photo(scale: int = 2, side: int = 24) -> tuple[Tensor, Tensor]:
    """Two places of a cat: (2, 3, side, side) in [0, 1], and the same ``scale`` times larger."""
    size = side * scale
    places = ((70, 120), (120, 200))
    crops = [data.chelsea()[y : y + size, x : x + size] for y, x in places]
    high_res = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return downscale(high_res, scale) / 255, high_res / 255
