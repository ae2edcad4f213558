"""``metrics.csv``: a row per epoch, whatever logger is used."""

import time
from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger

from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import Task


class RunRecord(pl.Callback):
    """Write each epoch's metrics to the run folder and pass them on to the loggers.

    Axes are ``epoch`` and ``iteration`` (data batches), never optimiser steps; both go on from
    stage to stage.

    Args:
        folder: Where ``metrics.csv`` is.
        loggers: Lightning loggers that get the same rows.
        stage: Name of the stage, a column of ``metrics.csv``.
        first_epoch: Epochs of the stages before.
    """

    def __init__(
        self,
        folder: RunFolder,
        loggers: Sequence[Logger] = (),
        *,
        stage: str,
        first_epoch: int = 0,
    ) -> None:
        self.folder = folder
        self.loggers = list(loggers)
        self.stage = stage
        self.first_epoch = first_epoch
        self.started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget rows that the interrupted run wrote after its last checkpoint."""
        self.started = time.perf_counter()  # Lightning skips the next hook after some resumes
        if trainer.is_global_zero:
            self.folder.drop_metrics_after(self.first_epoch + trainer.current_epoch - 1)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock, and forget the last epoch's metrics.

        Lightning keeps a metric until it is logged again: one that is not measured every epoch
        would be written under epochs that it does not belong to.
        """
        self.started = time.perf_counter()
        assert isinstance(pl_module, Task)
        pl_module.waited = 0.0
        trainer.callback_metrics.clear()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the row."""
        assert isinstance(pl_module, Task)
        if not trainer.is_global_zero:
            return
        row: dict[str, float | int] = {
            "epoch": self.first_epoch + trainer.current_epoch,
            "iteration": pl_module.iteration,
        }
        row |= {name: float(value) for name, value in trainer.callback_metrics.items()}
        for scheduler in trainer.lr_scheduler_configs:
            rates = scheduler.scheduler.get_last_lr()
            row |= {
                f"lr/{scheduler.name}" + (f"/{index}" if index else ""): float(rate)
                for index, rate in enumerate(rates)
            }
        row["time/epoch"] = time.perf_counter() - self.started
        if pl_module.waited > 0:
            row["time/data"] = pl_module.waited
        axes = {name: row.pop(name) for name in ("epoch", "iteration")}
        self.folder.append_metrics({**axes, "stage": self.stage, **row})
        for logger in self.loggers:
            logger.log_metrics({**axes, **row}, step=pl_module.iteration)

    @staticmethod
    def epoch_of(trainer: pl.Trainer) -> int:
        """The current epoch as the rows count it: on from the stages before."""
        records = (item for item in trainer.callbacks if isinstance(item, RunRecord))  # type: ignore[attr-defined]
        return trainer.current_epoch + sum(record.first_epoch for record in records)

    def complete(self, late: Mapping[int, Mapping[str, float]]) -> None:
        """Write metrics that were measured late into the rows of their epochs.

        Args:
            late: By epoch of the run.
        """
        for row in self.folder.complete_metrics(late):
            values = late[int(row["epoch"])]
            axes = {name: int(row[name]) for name in ("epoch", "iteration")}
            for logger in self.loggers:
                logger.log_metrics({**axes, **values}, step=axes["iteration"])
