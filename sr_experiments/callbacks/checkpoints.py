"""``best.ckpt`` and ``last.ckpt``, each replaced in one piece."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint

from sr_experiments.functional.random_state import get_random_state, set_random_state


class Checkpoints(Checkpoint):
    """Save after every epoch; keep the one with the highest ``val/psnr`` apart.

    Random states travel in the checkpoint, which Lightning leaves out.

    Args:
        last: Path of the newest checkpoint.
        best: Path of the best one.
    """

    def __init__(self, last: Path, best: Path) -> None:
        self.last = last
        self.best = best
        self.best_psnr = -torch.inf
        self.best_epoch = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; the better network first, so that ``last`` never knows of one that is not there."""
        psnr = float(trainer.callback_metrics.get("val/psnr", -torch.inf))
        if psnr > self.best_psnr:
            self.best_psnr, self.best_epoch = psnr, trainer.current_epoch
            self._save(trainer, self.best)
        self._save(trainer, self.last)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        temporary = path.with_name(f".{path.name}")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(path)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and random states."""
        return {
            "best_psnr": self.best_psnr,
            "best_epoch": self.best_epoch,
            "random": get_random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best score and the random states of the checkpoint."""
        self.best_psnr = state_dict["best_psnr"]
        self.best_epoch = state_dict["best_epoch"]
        set_random_state(state_dict["random"])
