"""What a user sees while training: a bar in a terminal, a line per epoch in a log."""

import sys
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """Lightning's bar without the version counter that means nothing here."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Metrics beside the bar."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        return items


class EpochLines(pl.Callback):
    """One line per epoch, for logs that are files."""

    NAMES = (
        ("train/loss", "loss {:.5f}"),
        ("val/loss", "validation loss {:.5f}"),
        ("val/accuracy", "accuracy {:.4f}"),
        ("val/psnr", "PSNR {:.2f} dB"),
        ("val_int8/psnr", "INT8 {:.2f} dB"),
        ("val/int8_drop", "drop {:+.3f} dB"),
    )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's metrics."""
        metrics: dict[str, Any] = trainer.callback_metrics
        parts = [text.format(float(metrics[key])) for key, text in self.NAMES if key in metrics]
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  " + "  ".join(parts))
        sys.stdout.flush()


def progress_callback() -> pl.Callback:
    """The bar in a terminal, lines elsewhere."""
    return Progress() if sys.stderr.isatty() else EpochLines()
