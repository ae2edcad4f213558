"""The networks of ``conf/model`` that enlarge, each as ``model=<name>`` gives it."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.compose import check
from sr_experiments.configuration.locations import config_dir, groups
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.reporting.tables.measured import Entry


def networks(scale: int, names: Sequence[str] | None = None) -> Iterator[Entry]:
    """Compose networks, one after the other.

    Args:
        scale: Enlargement.
        names: Options of ``model``; None: all of them.

    Raises:
        UserError: There is no such option, or it is no super-resolution network.
    """
    known = names_of_networks()
    wanted = known if names is None else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UserError(f"model={unknown[0]} does not exist\n  options: {', '.join(known)}")
    for name in wanted:
        yield network(name, scale)


def names_of_networks() -> list[str]:
    """Options of ``model``, less those that are networks of another task."""
    return [name for name in groups()["model"] if issubclass(_class(name), SRModel)]


def _class(name: str) -> type[Any]:
    return get_class(_file(name)["_target_"])


def _file(name: str) -> DictConfig:
    return cast(DictConfig, OmegaConf.load(_path(name)))


def _path(name: str) -> Path:
    return config_dir() / "model" / f"{name}.yaml"


def network(name: str, scale: int) -> Entry:
    """Compose one network.

    Args:
        name: Option of ``model``.
        scale: Enlargement.

    Raises:
        UserError: There is no such scale.
    """
    root = _root(scale)
    root.model = _file(name)
    config = cast(dict[str, object], OmegaConf.to_container(root.model, resolve=True))
    return Entry(name, _headline(name), config)


@cache
def _root(scale: int) -> DictConfig:
    """The configuration that the networks' files are put into: composing costs far more."""
    root = check([f"scale={scale}"])
    OmegaConf.set_struct(root, False)
    return root


def _headline(name: str) -> str:
    """What the comment at the head of a YAML calls the network: all before its first colon."""
    text = _path(name).read_text(encoding="utf-8")
    return text.partition("\n")[0].lstrip("# ").partition(":")[0]
