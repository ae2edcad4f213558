"""Histograms of weights and activations for loggers that show them, with the quantiser's ranges."""

from collections.abc import Sequence

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger

from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.distributions import Distribution, of_network, of_quantized
from sr_experiments.reporting.layer_report import cut
from sr_experiments.reporting.loggers.run import RunLogger
from sr_experiments.tasks import SuperResolutionTask, Task

PICTURES, SIZE = 2, 64  # middles of validation photos that the layers see, and their side


class Histograms(pl.Callback):
    """Pass distributions on every so many epochs, and in the last of a stage.

    Args:
        loggers: Of the run; those that show no histograms are passed over.
        first_epoch: Epochs of the stages before.
    """

    def __init__(self, loggers: Sequence[Logger], first_epoch: int = 0) -> None:
        self.loggers = [item for item in loggers if isinstance(item, RunLogger)]
        self.first_epoch = first_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure where a logger waits for it."""
        assert isinstance(pl_module, Task)
        done = trainer.current_epoch + 1
        last = done == trainer.max_epochs or trainer.should_stop
        waiting = [
            logger
            for logger in self.loggers
            if logger.histograms is not None and (last or done % logger.histograms == 0)
        ]
        if not waiting:
            return
        axes = {"epoch": self.first_epoch + done - 1, "iteration": pl_module.iteration}
        found = distributions(pl_module)
        for logger in waiting:
            logger.log_distributions(found, axes)


@torch.no_grad()
def distributions(task: Task) -> list[Distribution]:
    """Of what the task would ship now."""
    mode = getattr(task, "quantization", None)
    if not isinstance(task, SuperResolutionTask) or not isinstance(mode, PostTraining):
        return of_network(task.network)
    quantized = task.quantized()
    if quantized is None:
        calibration = mode.images(task.data).to(task.device)
        quantized = mode.quantize(trace(task.shipped), calibration)
    pictures = [low_res for low_res, _ in cut(task.data.val_pairs(), PICTURES, SIZE)]
    return of_quantized(quantized, pictures)
