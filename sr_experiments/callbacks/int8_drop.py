"""The INT8 number, measured on the integers that ship, every validation epoch.

The network is quantised with freshly calibrated ranges, a real ``.tflite`` file is written,
and LiteRT's own integer kernels run it on the validation images. Nothing is simulated.
"""

import time
from statistics import fmean

import lightning.pytorch as pl
import torch

from sr_experiments.data import SRData
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.metrics import psnr_rgb
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import NoQuantization, PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.tasks import SuperResolutionTask


def measure(file: bytes, data: SRData, threads: int) -> float:
    """Mean RGB PSNR, in dB, of an INT8 file on the validation images."""
    runtime = LiteRTRuntime(file, threads=threads)
    return fmean(
        psnr_rgb(predict_image(runtime, low_res), high_res, data.scale)
        for _, low_res, high_res in data.val_pairs()
    )


class Int8Drop(pl.Callback):
    """Log ``val_int8/psnr``, ``val/int8_drop`` and what measuring took.

    Args:
        mode: Quantisation to measure; `NoQuantization` measures nothing.
        every: Validation epochs between two measurements.
        threads: Threads of LiteRT; None: as many as torch uses.

    Raises:
        UserError: ``every`` is not positive.
    """

    def __init__(
        self,
        mode: PostTraining | NoQuantization,
        every: int = 1,
        threads: int | None = None,
    ) -> None:
        if every < 1:
            raise UserError(f"callbacks.int8_drop.every={every} is below 1")
        self.mode = mode
        self.every = every
        self.threads = threads
        self.graph: Graph | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Trace once: the graph reads the live weights ever after."""
        if isinstance(self.mode, PostTraining):
            self.graph = trace(self._task(pl_module).shipped)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Quantise, write, run and log."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not isinstance(self.mode, PostTraining):
            return
        if trainer.sanity_checking or not (last or (trainer.current_epoch + 1) % self.every == 0):
            return
        task = self._task(pl_module)
        start = time.perf_counter()
        with torch.no_grad():
            psnr = measure(self.file(task), task.data, self.threads or torch.get_num_threads())
        drop = float(trainer.callback_metrics["val/psnr"]) - psnr
        pl_module.log("val_int8/psnr", psnr, prog_bar=True, rank_zero_only=True)
        pl_module.log("val/int8_drop", drop, prog_bar=True, rank_zero_only=True)
        pl_module.log("time/int8", time.perf_counter() - start, rank_zero_only=True)

    def file(self, task: SuperResolutionTask) -> bytes:
        """The INT8 file of the task's network as it is now."""
        assert isinstance(self.mode, PostTraining)
        if self.graph is None:
            self.graph = trace(task.shipped)
        calibration = task.data.calibration(
            self.mode.calibration_images, self.mode.calibration_size
        ).to(task.device)
        return int8_model(self.mode.quantize(self.graph, calibration))

    @staticmethod
    def _task(pl_module: pl.LightningModule) -> SuperResolutionTask:
        assert isinstance(pl_module, SuperResolutionTask)
        return pl_module
