"""All processes of a run decide alike, for instance when to stop: by what the first one measured.

INT8 and the like are measured by the first process only, while the others wait.
"""

import lightning.pytorch as pl
import torch


class Agreement(pl.Callback):
    """Hand the metrics of a validation from the first process to the others."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before any other callback reads them; the first of a list is called first."""
        if trainer.world_size == 1 or trainer.sanity_checking:
            return
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        told = trainer.strategy.broadcast(measured)
        trainer.callback_metrics.update({name: torch.tensor(told[name]) for name in told})
