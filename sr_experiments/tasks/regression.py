"""Plain regression: one network, one loss, one optimiser, a schedule stepped per batch."""

from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.models import SRModel
from sr_experiments.tasks.base import (
    OptimizerFactory,
    SchedulerFactory,
    SuperResolutionTask,
    trainable_parameters,
)


class RegressionTask(SuperResolutionTask):
    """Minimise ``loss(prediction, high_res)``.

    Args:
        network: The network to train.
        loss: ``(prediction, target) -> scalar``.
        data: The data set.
        optimizer: Makes the optimiser from the parameters.
        scheduler: Makes the schedule from ``optimizer`` and ``total_steps``.
        total_steps: Length of the whole training, in batches.
        ema_decay: See `SuperResolutionTask`.
        channels_last: See `SuperResolutionTask`.
    """

    def __init__(
        self,
        network: SRModel,
        loss: nn.Module,
        data: SRData,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        *,
        total_steps: int,
        ema_decay: float | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__(network, data, ema_decay=ema_decay, channels_last=channels_last)
        self.loss = loss
        self.total_steps = total_steps
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler

    def training_step(self, index: int, batch_idx: int) -> Tensor:
        """One optimiser step on the batch of this iteration; the entry ``index`` is unused."""
        low_res, high_res = self.train_batch()
        name = type(self.loss).__name__.lower()
        terms = {name: self.loss(self.network(low_res), high_res)}
        loss = self.total_loss(terms)
        self.log("train/loss", loss.detach(), on_epoch=True, on_step=False, batch_size=1)
        for term, value in terms.items():
            self.log(
                f"train/loss/{term}", value.detach(), on_epoch=True, on_step=False, batch_size=1
            )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Count the batch and move the average."""
        self.iteration += 1
        if self.average is not None:
            self.average.update_parameters(self.network)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule, stepped once per batch."""
        optimizer: torch.optim.Optimizer = self.make_optimizer(trainable_parameters(self.network))
        scheduler = self.make_scheduler(optimizer, total_steps=self.total_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "network"},
        }
