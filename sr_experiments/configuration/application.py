"""Hand a command line to Hydra, which composes each job and calls a function with it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.compose import SEARCH_PATH
from sr_experiments.configuration.locations import config_dir, config_root

if TYPE_CHECKING:
    from omegaconf import DictConfig

MULTIRUN = ("-m", "--multirun")


GRAMMAR = set("=,:{}()[]' ")
"""Characters that Hydra reads as more than text; a job's folder is called ``seed=1,model=xlsr``."""


def quote_path(word: str) -> str:
    """A word of the command line, its value in quotes where that is a path that needs them."""
    key, _, value = word.partition("=")
    needs = bool(GRAMMAR & set(value)) and '"' not in value and Path(value).exists()
    return f'{key}="{value}"' if needs else word


def start(words: Sequence[str], task: "Callable[[DictConfig], Any]") -> None:
    """Let Hydra run ``task``, once or for every job of a multirun.

    Args:
        words: The command line, flags anywhere.
        task: Called with each job's configuration.
    """
    from hydra import main as hydra_main

    sys.argv = [sys.argv[0], *_in_order(words, SEARCH_PATH.format(root=config_root()))]
    hydra_main(version_base="1.3", config_path=str(config_dir()), config_name="config")(task)()


def _in_order(words: Sequence[str], search_path: str) -> list[str]:
    """Hydra's parser takes overrides only side by side: flags first, then all of these."""
    flags = [word for word in words if word in MULTIRUN]
    rest = [word for word in words if word not in flags]
    overrides = [place for place, word in enumerate(rest) if "=" in word and word[0] != "-"]
    place = overrides[0] if overrides else len(rest)
    return [*flags, *rest[:place], search_path, *rest[place:]]
