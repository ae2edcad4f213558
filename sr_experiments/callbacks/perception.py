"""How alike pictures look, measured each epoch beside PSNR: the metrics that a GAN is trained for.

They are judged on the rounded 8-bit pictures of the network that ships. One whose weights are
neither here nor to be had is left out, and that is said.
"""

from collections.abc import Mapping
from statistics import fmean

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float
from sr_experiments.tasks import SuperResolutionTask
from sr_experiments.tasks.distributed import rank


class Perception(pl.Callback):
    """Log ``val/<name>``, the mean over the validation images, of every metric.

    Args:
        metrics: By name, ``(prediction, original)`` of (1, 3, H, W) in [0, 1] to a scalar.
        every: Validation epochs between two measurements.

    Raises:
        UserError: ``every`` is not positive.
    """

    def __init__(self, metrics: Mapping[str, nn.Module], every: int = 1) -> None:
        if every < 1:
            raise UserError(f"callbacks.perception.every={every} is below 1")
        self.metrics = dict(metrics)
        self.every = every

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log."""
        assert isinstance(pl_module, SuperResolutionTask)
        if rank() or trainer.sanity_checking:
            return
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not (last or (trainer.current_epoch + 1) % self.every == 0):
            return
        scores: dict[str, list[float]] = {}
        for low_res, high_res in ((low, high) for _, low, high in pl_module.data.val_pairs()):
            picture = pl_module.picture(low_res)
            pair = to_float(picture)[None], to_float(high_res)[None]
            for name in list(self.metrics):
                try:
                    with torch.no_grad():
                        value = float(self.metrics[name](*pair))
                except UserError as error:
                    del self.metrics[name]
                    rank_zero_warn(f"val/{name} is not measured: {error}")
                else:
                    scores.setdefault(name, []).append(value)
        for name, values in scores.items():
            pl_module.log(f"val/{name}", fmean(values), rank_zero_only=True)
