"""``best.ckpt`` and ``last.ckpt``, each replaced in one piece."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from sr_experiments.files import UNFINISHED, replace_durably
from sr_experiments.functional.random_state import get_random_state, set_random_state
from sr_experiments.tasks import Task

SCHEMA_VERSION = 1  # of what this package keeps in a checkpoint beside what Lightning does


class Checkpoints(Checkpoint):
    """Save after every epoch; keep the best one apart.

    Random states travel in the checkpoint, which Lightning leaves out.

    Args:
        last: Path of the newest checkpoint.
        best: Path of the best one.
        metric: What the best is chosen by, as logged.
        higher_is_better: Whether more of it is.
        stage: Number of the stage, kept in the checkpoint: its successor must not take it up.
    """

    def __init__(
        self,
        last: Path,
        best: Path,
        *,
        metric: str = "val/psnr",
        higher_is_better: bool = True,
        stage: int = 1,
    ) -> None:
        self.last = last
        self.best = best
        self.metric = metric
        self.higher_is_better = higher_is_better
        self.stage = stage
        self.best_score = 0.0
        self.best_epoch = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; the better network first, so that ``last`` never knows of one that is not there."""
        score = float(trainer.callback_metrics[self.metric])
        better = score > self.best_score if self.higher_is_better else score < self.best_score
        newest = isinstance(pl_module, Task) and pl_module.newest_is_best
        if better or newest or self.best_epoch < 0:
            self.best_score, self.best_epoch = score, trainer.current_epoch
            self._save(trainer, self.best)
        self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Write the newest checkpoint, also in the middle of an epoch."""
        self._save(trainer, self.last)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        temporary = path.with_name(f".{path.name}{UNFINISHED}")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            replace_durably(temporary, path)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say which stage it is of, and how to read it."""
        checkpoint["stage"] = self.stage
        checkpoint["schema_version"] = SCHEMA_VERSION

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and random states."""
        return {
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "random": get_random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best score and the random states of the checkpoint."""
        self.best_score = state_dict["best_score"]
        self.best_epoch = state_dict["best_epoch"]
        set_random_state(state_dict["random"])
