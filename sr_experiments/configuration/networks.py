"""The networks of ``conf/model``, each as ``model=<name>`` gives it."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import cast

from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.compose import check
from sr_experiments.configuration.locations import config_dir, groups
from sr_experiments.errors import UserError
from sr_experiments.reporting.tables.measured import Entry


def networks(scale: int, names: Sequence[str] | None = None) -> Iterator[Entry]:
    """Compose networks, one after the other.

    Args:
        scale: Enlargement.
        names: Options of ``model``; None: all of them.

    Raises:
        UserError: There is no such option.
    """
    known = groups()["model"]
    wanted = known if names is None else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UserError(f"model={unknown[0]} does not exist\n  options: {', '.join(known)}")
    for name in wanted:
        yield network(name, scale)


def network(name: str, scale: int) -> Entry:
    """Compose one network.

    Args:
        name: Option of ``model``.
        scale: Enlargement.

    Raises:
        UserError: There is no such scale.
    """
    root = _root(scale)
    root.model = OmegaConf.load(config_dir() / "model" / f"{name}.yaml")
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
    text = (config_dir() / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    return text.partition("\n")[0].lstrip("# ").partition(":")[0]
