"""Compose the configuration and refuse what is wrong with it, before torch is imported.

Hydra refuses unknown keys and options by itself; here its messages are turned into what to
type instead, and what it lets pass (a word where a number belongs, a ``???`` left open) is
refused too.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sr_experiments.configuration.locations import config_dir, config_root, groups
from sr_experiments.errors import UserError

SEARCH_PATH = "hydra.searchpath=[file://{root}]"


def compose(overrides: Sequence[str], *, hydra: bool = False) -> DictConfig:
    """The configuration that a command line gives.

    Args:
        overrides: As typed, ``group=option`` or ``key=value``.
        hydra: Keep the ``hydra`` node.

    Raises:
        UserError: An override names something that does not exist.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3"):
            return hydra_compose(
                "config",
                [*overrides, SEARCH_PATH.format(root=config_root())],
                return_hydra_config=hydra,
            )
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, overrides)) from error


def check(overrides: Sequence[str]) -> DictConfig:
    """Compose one job and check its keys, options, types and mandatory values.

    Raises:
        UserError: With the key and what to type instead.
    """
    return check_with_choices(overrides)[0]


def check_with_choices(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """As `check`, with the option that was chosen of each group.

    Raises:
        UserError: As `check`.
    """
    config = compose(overrides, hydra=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    with open_dict(config):
        del config["hydra"]
    _check_types(overrides, config)
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise UserError(
                f"{missing[0]} has no value: add {missing[0]}=... to the command"
                + (f" (also open: {', '.join(missing[1:])})" if missing[1:] else "")
            )
        OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration does not resolve: {_first_line(error)}") from error
    return config, choices


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse command-line overrides.

    Raises:
        UserError: One is not of the form ``key=value``.
    """
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(_explain(error, overrides)) from error


def _is_group(override: Override) -> bool:
    name = override.get_key_element().lstrip("+~").split("@")[0].split("/")[0]
    return name in groups() or name == "sweeps"


def _check_types(overrides: Sequence[str], config: DictConfig) -> None:
    parsed = parse(overrides)
    values = [
        item for item in parsed if not (_is_group(item) and "." not in item.get_key_element())
    ]
    if not values:
        return
    choices = [item.input_line for item in parsed if item not in values]
    defaults = compose([line for line in choices if line])
    for override in values:
        key = override.get_key_element().lstrip("+~")
        if key.startswith("hydra.") or override.is_delete():
            continue
        default = _lookup(defaults, key)
        _check_value(key, default, _lookup(config, key))


def _lookup(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except OmegaConfBaseException:
        return None


def _check_value(key: str, default: Any, value: Any) -> None:
    if default is None:
        return
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (ListConfig, "a list, such as [a,b]"),
        (DictConfig, "a mapping"),
    ]
    for kind, words in kinds:
        if not isinstance(default, kind):
            continue
        accepts = (int, float) if kind is float else kind
        if key == "model.channels" and isinstance(value, ListConfig):
            return  # a width for each layer; the network says how many
        nullable = value is None and not isinstance(default, bool | int | float)
        wrong_bool = isinstance(value, bool) and kind is not bool
        if (isinstance(value, accepts) and not wrong_bool) or nullable:
            return
        if kind is str and isinstance(value, int | float):
            return  # a name may look like a number
        raise UserError(f"{key}={value!s} is not {words} (default: {key}={default!s})")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _close(word: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in config:
        key = f"{prefix}{name!s}"
        yield key
        if not OmegaConf.is_missing(config, name) and OmegaConf.is_dict(config[name]):
            yield from _keys(config[name], f"{key}.")


def _explain(error: BaseException, overrides: Sequence[str]) -> str:
    text = str(error)
    plugin = re.search(r"Could not (?:find|load) '(hydra/\w+)/([^']+)'", text)
    if plugin:
        return f'{plugin[1]}={plugin[2]} is not installed: pip install "sr_experiments[sweep]"'
    option = re.search(r"Could not (?:find|load) '((?:task/)?\w+)/([^']+)'", text)
    if option:
        group, name = option[1].replace("sweeps", "sweep"), option[2]
        known = groups().get(group, [])
        return (
            f"{group}={name} does not exist{_close(name, known)}\n"
            f"  options of {group}: {', '.join(known)}"
        )
    unread = [word for word in overrides if not _readable(word)]
    if unread:
        name, _, value = unread[0].partition("=")
        if set("[]{}()'\"") & set(value):
            return f"{unread[0]} cannot be read: its brackets or quotes do not close"
        return f"{unread[0]} cannot be read; type '{name}=\"{value}\"', with both pairs of quotes"
    key = re.search(r"Could not override '([^']+)'", text)
    if key:
        return _unknown_key(key[1], overrides)
    group_name = re.search(r"Could not override '?([\w/]+)@?", text)
    if group_name:
        return _unknown_key(group_name[1], overrides)
    return _first_line(error)


def _readable(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    choices = []
    for item in overrides:
        name = item.split("=")[0].lstrip("+")
        if name != key and (name in groups() or name == "+sweeps"):
            choices.append(item)
    try:
        known = list(_keys(compose(choices)))
    except UserError:
        known = list(groups())
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    if not parent:
        siblings = sorted({*siblings, *groups()})
    named = f"\n  keys of {parent}: " if parent else "\n  root keys and groups: "
    deeper = [name for name in known if name.endswith(f".{key}")]
    meant = (
        f"; did you mean {' or '.join(deeper[:3])}?" if deeper else _close(key, siblings or known)
    )
    return f"unknown key {key}{meant}" + (
        named + ", ".join(name.rpartition(".")[2] for name in siblings) if siblings else ""
    )
