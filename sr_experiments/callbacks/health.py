"""Say it when an output channel has died at the clip.

Behind a clipped output, a channel that is below 0 or above 1 everywhere gets no gradient
any more and stays constant for the rest of the training: the picture loses one of its
sub-pixels, and PSNR alone shows only a plateau.
"""

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn

from sr_experiments.models.health import watch_output_clip
from sr_experiments.tasks import SuperResolutionTask
from sr_experiments.tasks.distributed import rank


class Health(pl.Callback):
    """Warn once for every set of dead output channels, after validation."""

    def __init__(self) -> None:
        self.reported: list[int] = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at one training batch, which has every intensity that trains."""
        assert isinstance(pl_module, SuperResolutionTask)
        if trainer.sanity_checking or rank():
            return
        low_res, _ = pl_module.train_batch(whole=True)
        with torch.no_grad(), watch_output_clip(pl_module.network) as found:
            pl_module.network(low_res)
        dead = sorted(found)
        if dead and dead != self.reported:
            rank_zero_warn(
                f"epoch {trainer.current_epoch + 1}: output channels {dead} lie outside the clip "
                "everywhere and get no gradient any more; start again with another seed, a lower "
                "learning rate, or model.clip_output=false"
            )
        self.reported = dead
        pl_module.log("val/dead_channels", float(len(dead)), rank_zero_only=True)
