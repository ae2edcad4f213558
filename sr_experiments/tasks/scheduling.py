"""What every training procedure with one optimiser and one schedule shares."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from sr_experiments.errors import UserError
from sr_experiments.tasks.contract import Task

OptimizerFactory = Callable[..., torch.optim.Optimizer]
SchedulerFactory = Callable[..., LRScheduler]
TOTAL = "train/loss"  # in the metrics
TERM = f"{TOTAL}/"  # before the name of a term of it


class NonFiniteLossError(UserError):
    """A loss term became NaN or infinite; the last good checkpoint stays."""


class ScheduledTask(Task):
    """One optimiser, whose schedule is stepped per batch or waits for a plateau."""

    def train_dataloader(self) -> Iterable[int]:
        """One entry per step of an epoch; the batch itself is made in the training step."""
        return range(self.data.steps_per_epoch)

    def total_loss(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum of the named terms.

        Raises:
            NonFiniteLossError: Naming the term and the iteration.
        """
        self.check_finite(terms, self.iteration)
        return torch.stack(list(terms.values())).sum()

    @staticmethod
    def check_finite(values: Mapping[str, Tensor | float], iteration: int) -> None:
        """Stop where a value is no number; on a GPU this waits for tensors.

        Raises:
            NonFiniteLossError: Naming the term and the iteration.
        """
        # A term before the sum that it spoils.
        for name, value in sorted(values.items(), key=lambda item: item[0] == TOTAL):
            number = value.item() if isinstance(value, Tensor) else value
            if not math.isfinite(number):
                raise NonFiniteLossError(
                    f"the loss term {name.removeprefix(TERM)} became {number} at iteration "
                    f"{iteration}; the last checkpoint is kept. Lower optimizer.lr or the "
                    "schedule's peak, or set trainer.gradient_clip=1"
                )

    def scheduled(
        self, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
    ) -> OptimizerLRSchedulerConfig:
        """What ``configure_optimizers`` returns.

        The schedule is stepped per batch; per epoch, on the metric, where it waits for a plateau.
        """
        if isinstance(scheduler, ReduceLROnPlateau):
            plateau: LRSchedulerConfigType = {
                "scheduler": scheduler,
                "interval": "epoch",
                "name": "network",
            }
            if self.automatic_optimization:  # Lightning asks for it there, and refuses it else
                plateau["monitor"] = self.metric
            return {"optimizer": optimizer, "lr_scheduler": plateau}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "network"},
        }

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leave a plateau to the end of the epoch below.

        Lightning steps it after the checkpoint is written, and not at all on resuming: what
        the epoch showed would be lost with a killed run.
        """
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Show the epoch's metric to a schedule that waits for a plateau."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step(self.trainer.callback_metrics[self.metric])
