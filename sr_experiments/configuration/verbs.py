"""Options of the verbs that are no training run: a dataclass read from ``key=value`` words.

The dataclass is the interface: its docstring is the help, its fields are the keys, their
types are checked, their defaults are the defaults.
"""

import dataclasses
import difflib
import inspect
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr_experiments.configuration.compose import check
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from sr_experiments.data import SRData

Options = TypeVar("Options")


def parse(kind: type[Options], argv: Sequence[str] | None = None) -> Options:
    """Read ``key=value`` words into the dataclass ``kind``.

    Args:
        kind: A dataclass; a field without default is mandatory.
        argv: Words after the command; by default the process's own.

    Raises:
        UserError: A key is unknown, a value has the wrong type, or a mandatory key is absent.
        SystemExit: After printing the help that was asked for.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(words):
        print(_help(kind))
        raise SystemExit(0)
    names = [field.name for field in dataclasses.fields(cast(Any, kind))]
    for word in words:
        name, equals, _ = word.partition("=")
        if not equals:
            raise UserError(f"{word!r} is not of the form key=value (keys: {', '.join(names)})")
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"unknown key {name}{hint}\n  keys: {', '.join(names)}")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(kind), OmegaConf.from_dotlist(words))
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]} has no value: add {missing[0]}=...")
        return cast(Options, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = str(error).splitlines()[0]
        raise UserError(f"{key}: {reason}" if key else reason) from error


def _help(kind: type[Any]) -> str:
    lines = [inspect.getdoc(kind) or "", "", "Defaults"]
    for field in dataclasses.fields(kind):
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        shown = "(mandatory)" if default in (dataclasses.MISSING, "???") else default
        lines.append(f"  {field.name}={shown}")
    return "\n".join(lines)


def compose_data(name: str, overrides: Sequence[str] = ()) -> "SRData":
    """Build the data set that ``data=name`` gives a training run.

    Args:
        name: An option of ``conf/data``.
        overrides: Further overrides, such as ``scale=2`` or ``paths.data_dir=...``.

    Raises:
        UserError: There is no such data set, or an override is wrong.
    """
    from hydra.utils import instantiate

    config = check([f"data={name}", *overrides])
    return cast("SRData", instantiate(config.data))


def plain(text: str) -> str:
    """``text`` as a safe file-name part: letters, digits, ``.``, ``_``, ``-`` and ``=`` only."""
    return re.sub(r"[^\w.=,-]+", "_", text).strip("_") or "run"
