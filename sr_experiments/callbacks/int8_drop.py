"""The INT8 number, measured on the integers that ship, every validation epoch.

The network is quantised, with freshly calibrated ranges or with those that quantisation-aware
training has at that step, a real ``.tflite`` file is written, and LiteRT's own integer kernels run
it on the validation images. Nothing is simulated.

The drop is counted from the network in floating point. In quantisation-aware training that is
the FP32 network it started from, measured once, or its FP32 twin (see ``tasks.reference``);
``val/psnr`` is then that of the INT8 grid in torch, and ``val_fp32/psnr`` the reference's.
"""

import time
from statistics import fmean

import lightning.pytorch as pl
import torch

from sr_experiments.data import SRData
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.tflite import half_model, int8_model
from sr_experiments.errors import UserError
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.tasks import SuperResolutionTask
from sr_experiments.tasks.distributed import rank


def measure(file: bytes, data: SRData, threads: int) -> float:
    """Mean RGB PSNR, in dB, of a TFLite file on the validation images."""
    runtime = LiteRTRuntime(file, threads=threads)
    return fmean(
        psnr_rgb(predict_image(runtime, low_res), high_res, data.scale)
        for _, low_res, high_res in data.val_pairs()
    )


class Int8Drop(pl.Callback):
    """Log ``val_int8/psnr``, ``val/int8_drop`` and what measuring took.

    Args:
        mode: Quantisation to measure; `HalfPrecision` logs ``val_fp16/psnr`` and
            ``val/fp16_drop``, `NoQuantization` measures nothing.
        every: Validation epochs between two measurements.
        threads: Threads of LiteRT; None: as many as torch uses.

    Raises:
        UserError: ``every`` is not positive.
    """

    def __init__(
        self,
        mode: PostTraining | HalfPrecision | NoQuantization,
        every: int = 1,
        threads: int | None = None,
    ) -> None:
        if every < 1:
            raise UserError(f"callbacks.int8_drop.every={every} is below 1")
        self.mode = mode
        self.kind = "fp16" if isinstance(mode, HalfPrecision) else "int8"
        self.every = every
        self.threads = threads
        self.graph: Graph | None = None
        self.traced: SRModel | None = None
        self.reference_psnr: float | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Trace once: the graph reads the live weights ever after. Measure a fixed reference."""
        if isinstance(self.mode, NoQuantization) or rank():
            return
        task = self._task(pl_module)
        if task.quantizer is None:
            self.traced, self.graph = task.shipped, trace(task.shipped)
        elif self.reference_psnr is None:
            self.reference_psnr = task.reference_psnr()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Quantise, write, run and log."""
        idle = trainer.sanity_checking or rank() > 0  # the other processes wait meanwhile
        if isinstance(self.mode, NoQuantization) or idle:
            return
        start = time.perf_counter()
        task = self._task(pl_module)
        reference = float(trainer.callback_metrics["val/psnr"])
        if task.reference is not None:
            reference = self._reference(task)
            pl_module.log("val_fp32/psnr", reference, rank_zero_only=True)
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not (last or (trainer.current_epoch + 1) % self.every == 0):
            return
        with torch.no_grad():
            psnr = measure(self.file(task), task.data, self.threads or torch.get_num_threads())
        kind, drop = self.kind, reference - psnr
        pl_module.log(f"val_{kind}/psnr", psnr, prog_bar=True, rank_zero_only=True)
        pl_module.log(f"val/{kind}_drop", drop, prog_bar=True, rank_zero_only=True)
        pl_module.log(f"time/{kind}", time.perf_counter() - start, rank_zero_only=True)

    def file(self, task: SuperResolutionTask) -> bytes:
        """The INT8 or FP16 file of the task's network as it is now."""
        quantized = task.quantized()
        if quantized is not None:
            return int8_model(quantized)
        if self.graph is None or self.traced is not task.shipped:
            self.traced, self.graph = task.shipped, trace(task.shipped)
        if isinstance(self.mode, HalfPrecision):
            return half_model(self.graph)
        assert isinstance(self.mode, PostTraining)
        calibration = self.mode.images(task.data).to(task.device)
        return int8_model(self.mode.quantize(self.graph, calibration))

    def state_dict(self) -> dict[str, float | None]:
        """What the fixed reference scored: a resumed run compares with the same number."""
        return {"reference_psnr": self.reference_psnr}

    def load_state_dict(self, state_dict: dict[str, float | None]) -> None:
        """Go on with that number."""
        self.reference_psnr = state_dict["reference_psnr"]

    def _reference(self, task: SuperResolutionTask) -> float:
        """PSNR of the FP32 network to compare with, in dB; a twin's changes."""
        assert task.reference is not None
        if task.reference.trains or self.reference_psnr is None:
            return task.reference_psnr()
        return self.reference_psnr

    @staticmethod
    def _task(pl_module: pl.LightningModule) -> SuperResolutionTask:
        assert isinstance(pl_module, SuperResolutionTask)
        return pl_module
