"""Stop when the validation no longer improves (Keras's callback of that name, Prechelt 1998).

Lightning's own forgets, when a run is killed between its last checkpoint and its end, that it had
stopped, and trains on. This one knows from the checkpoint and stops again at once.
"""

import math
from typing import Any

import lightning.pytorch as pl

from sr_experiments.errors import UserError


class EarlyStopping(pl.Callback):
    """End the training after some epochs without a better value.

    Args:
        monitor: Metric, as logged each epoch.
        patience: Epochs without a better value that end it.
        min_delta: A value must be better by more than this to count.
        higher_is_better: Whether more of the metric is better.

    Raises:
        UserError: An option is out of range.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        patience: int = 10,
        min_delta: float = 0.0,
        higher_is_better: bool = False,
    ) -> None:
        if patience < 1:
            raise UserError(f"callbacks.early_stopping.patience={patience} is below 1")
        if min_delta < 0:
            raise UserError(f"callbacks.early_stopping.min_delta={min_delta} is below 0")
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.higher_is_better = higher_is_better
        self.best = -math.inf if higher_is_better else math.inf
        self.waited = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop again, when the checkpoint says that training was over."""
        trainer.should_stop |= self.waited >= self.patience

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count, and stop after enough epochs without a better value."""
        if trainer.sanity_checking:
            return
        value = self._value(trainer)
        gain = value - self.best if self.higher_is_better else self.best - value
        if gain > self.min_delta:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The best value and the epochs since."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]

    def _value(self, trainer: pl.Trainer) -> float:
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(name for name in sorted(trainer.callback_metrics) if "val" in name)
            raise UserError(
                f"callbacks.early_stopping.monitor={self.monitor} is not measured; known: {known}"
            )
        return float(trainer.callback_metrics[self.monitor])
