"""``python -m sr_experiments``: train one network, or every network of a sweep.

Help and refusals come first and import neither torch nor lightning.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sr_experiments import __version__
from sr_experiments.configuration.entry import run_verb
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHOW = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 2 after a user's mistake."""
    words = list(sys.argv[1:] if argv is None else argv)
    run_verb(lambda: _launch(words))


def _launch(words: list[str]) -> None:
    if {"-h", "--help"} & set(words):
        from sr_experiments.configuration.help import help_text

        print(help_text())
        return
    if "--version" in words:
        print(f"sr_experiments {__version__}")
        return
    from sr_experiments.configuration.application import MULTIRUN, quote_path, start
    from sr_experiments.configuration.stages import plan

    words = _sweep_by_name([quote_path(word) for word in words])
    overrides = [word for word in words if not word.startswith("-")]
    if any(word in SHOW for word in words):
        start(words, lambda config: None)
        return
    unclear = [word for word in words if not word.startswith(("-", "~")) and "=" not in word]
    if unclear:
        raise UserError(f"{unclear[0]!r} is not of the form key=value or group=option")
    if any(word in MULTIRUN for word in words):
        from sr_experiments.sweeping.sweep import run_sweep

        run_sweep(words)
        return
    plan(overrides)
    stopped: list[BaseException] = []

    def task(config: "DictConfig") -> None:
        try:
            _train(config)
        except BaseException as error:  # Hydra would print its own shortened traceback
            stopped.append(error)

    start(words, task)
    if stopped:
        raise stopped[0]


def _sweep_by_name(words: list[str]) -> list[str]:
    """``sweep=name`` starts the multirun of ``sweeps/name.yaml`` by itself."""
    named = [word for word in words if word.startswith("sweep=")]
    if not named:
        return words
    rest = [word for word in words if word not in named]
    return [*rest, *(f"+sweeps={word.removeprefix('sweep=')}" for word in named), "--multirun"]


def _train(config: "DictConfig") -> None:
    from hydra.core.hydra_config import HydraConfig

    from sr_experiments import train

    hydra = HydraConfig.get()
    overrides = [item for item in hydra.overrides.task if not item.startswith("hydra.")]
    choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
    train.run(train.Job(config, choices, overrides))


if __name__ == "__main__":
    main()
