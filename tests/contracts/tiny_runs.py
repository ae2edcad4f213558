"""Trainings of a moment, made from the configuration as runs make them, and what comes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from alternatives import Options, digest
from omegaconf import OmegaConf

from sr_experiments.configuration.stages import Stage, plan
from sr_experiments.training.parts import Parts, build
from sr_experiments.training.trainer import make_trainer, quiet_lightning

TINY = (
    "scale=2",
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=4",
    "data.patch=8",
    "data.steps_per_epoch=3",
    "data.test=[]",
    "trainer.epochs=2",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "callbacks=none",
)


@cache
def composed(*words: str) -> Stage:
    """The one stage of a command line.

    Args:
        *words: Each replaces the tiny one of its key; ``-key`` only leaves that out.
    """
    keys = {word.partition("=")[0].lstrip("-") for word in words}
    kept = [word for word in TINY if word.partition("=")[0] not in keys]
    (stage,) = plan([*kept, *(word for word in words if not word.startswith("-"))])
    return stage


def node(stage: Stage, key: str) -> Options:
    """A group of a stage, its interpolations resolved."""
    found = stage.resolved[key]
    assert isinstance(found, dict)
    return found


class Seen(pl.Callback):
    """Keeps what each epoch logged, times left out, and its last learning rates, each once."""

    def __init__(self) -> None:
        self.epochs: list[Any] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After validation; see Lightning."""
        values = {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items())
            if not name.startswith("time/")
        }
        rates = {group["lr"] for made in trainer.optimizers for group in made.param_groups}
        self.epochs.append((values, sorted(rates)))


@dataclass
class Run:
    """A training that is over.

    Attributes:
        parts: It was made of.
        trainer: That trained it.
        epochs: What each logged, and its learning rates.
    """

    parts: Parts
    trainer: pl.Trainer
    epochs: list[Any] = field(default_factory=list)

    @property
    def looks(self) -> str:
        """Weights and whatever else is saved, and all that was logged."""
        task = self.parts.task
        return digest(task.state_dict(), self.epochs, task.newest_is_best, task.metric)


def train(stage: Stage, folder: Path, nodes: Mapping[str, Any] | None = None) -> Run:
    """Train with some groups or root keys replaced.

    Args:
        stage: See `composed`.
        folder: For whatever is written.
        nodes: By group or key.
    """
    quiet_lightning()
    config = stage.config.copy()
    OmegaConf.set_struct(config, False)
    for key, value in (nodes or {}).items():
        config[key] = value
    parts = build(replace(stage, config=config))
    parts.task.data.setup("cpu")
    seen = Seen()
    trainer = make_trainer(
        config.trainer,
        parts.epochs,
        [*parts.callbacks, seen],
        folder,
        clips=parts.task.automatic_optimization,
    )
    trainer.fit(parts.task)
    return Run(parts, trainer, seen.epochs)
