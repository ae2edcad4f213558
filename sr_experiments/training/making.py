"""Make what a node of the configuration names."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from sr_experiments.errors import blaming


def make(node: DictConfig, key: str, **extra: Any) -> Any:
    """The object of a node; of a partial one, called with ``extra``.

    Args:
        node: With ``_target_``, and ``_partial_`` where ``extra`` is given.
        key: What an error is blamed on.
        extra: Keywords that the configuration does not know.

    Raises:
        UserError: The class or function refuses its options.
    """

    def instantiated() -> Any:
        made = instantiate(node, _convert_="all")
        return made(**extra) if extra else made

    return blaming(key, instantiated)
