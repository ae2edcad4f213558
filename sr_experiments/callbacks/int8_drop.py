"""The INT8 number, measured on the integers that ship, every validation epoch.

The network is quantised, with freshly calibrated ranges or with those that quantisation-aware
training has at that step, a real ``.tflite`` file is written, and LiteRT's own integer kernels run
it on the validation images. Nothing is simulated.

The drop is counted from the network in floating point. In quantisation-aware training that is
the FP32 network it started from, measured once, or its FP32 twin (see ``tasks.reference``);
``val/psnr`` is then that of the INT8 grid in torch, and ``val_fp32/psnr`` the reference's.

Where a GPU trains, the CPU measures beside it, see `overlap`.
"""

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch

from sr_experiments.callbacks.measuring import make_file, measure
from sr_experiments.callbacks.overlap import FILE, Measurement, Overlap
from sr_experiments.callbacks.run_record import RunRecord
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel, collapse
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.tasks import SuperResolutionTask
from sr_experiments.tasks.distributed import processes, rank

__all__ = ["Int8Drop", "measure"]

AUTO = "auto"


class Int8Drop(pl.Callback):
    """Log ``val_int8/psnr``, ``val/int8_drop`` and what measuring took.

    Args:
        mode: Quantisation to measure; `HalfPrecision` logs ``val_fp16/psnr`` and
            ``val/fp16_drop``, `NoQuantization` measures nothing.
        every: Validation epochs between two measurements.
        threads: Threads of LiteRT; None: as many as torch uses.
        overlap: Measure in another process while training goes on; ``auto`` does where a GPU
            trains. A row of ``metrics.csv`` then gets its numbers some epochs later.

    Raises:
        UserError: ``every`` is not positive, or ``overlap`` is unknown.
    """

    def __init__(
        self,
        mode: PostTraining | HalfPrecision | NoQuantization,
        every: int = 1,
        threads: int | None = None,
        overlap: bool | str = AUTO,
    ) -> None:
        if every < 1:
            raise UserError(f"callbacks.int8_drop.every={every} is below 1")
        if overlap not in (True, False, AUTO):
            raise UserError(
                f"callbacks.int8_drop.overlap={overlap} is none of auto, true and false"
            )
        self.mode = mode
        self.overlap = overlap
        self.beside: Overlap | None = None
        self.left: list[dict[str, Any]] = []  # of a checkpoint: not measured when it was written
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
        if self._overlaps(task):
            self.beside = self._start(trainer, task, self.mode)
            for item in self.left:
                self.beside.submit(Measurement(**item))
        self.left = []

    def _overlaps(self, task: SuperResolutionTask) -> bool:
        """Whether to measure in another process.

        Raises:
            UserError: It is asked for, and cannot be.
        """
        wanted = task.device.type == "cuda" if self.overlap == AUTO else bool(self.overlap)
        if not wanted or (task.ranking is None and processes() == 1):
            return wanted
        if self.overlap == AUTO:
            return False
        raise UserError(
            "callbacks.int8_drop.overlap=true can follow neither a network whose channels go nor "
            "several processes; set it to auto"
        )

    def _start(
        self, trainer: pl.Trainer, task: SuperResolutionTask, mode: PostTraining | HalfPrecision
    ) -> Overlap:
        def late(rows: Mapping[int, Mapping[str, float]]) -> None:
            for record in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(record, RunRecord):
                    record.complete(rows)

        if task.quantizer is None and isinstance(mode, PostTraining):
            mode.images(task.data)  # cut now: the process must not need the training set's files
        return Overlap(mode, collapse(task.shipped).cpu(), task.data, self.threads, late)

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
        if self.beside is not None:
            epoch = RunRecord.epoch_of(trainer)
            self.beside.submit(Measurement(epoch, reference, self._weights(task)))
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
        assert not isinstance(self.mode, NoQuantization)
        return make_file(self.mode, self.graph, task.data, task.device)

    @staticmethod
    def _weights(task: SuperResolutionTask) -> dict[str, torch.Tensor]:
        """What another process needs to make the file: the weights, or a finished file."""
        quantized = task.quantized()
        if quantized is not None:
            with torch.no_grad():
                return {FILE: torch.frombuffer(bytearray(int8_model(quantized)), dtype=torch.uint8)}
        return {
            name: value.detach().cpu().clone()
            for name, value in collapse(task.shipped).state_dict().items()
        }

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the measurements that are still on the way.

        Not at the end of training, which Lightning leaves out where a resumed run has none left.
        """
        self._close(finish=True)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave them to the run that goes on from the checkpoint."""
        self._close(finish=False)

    def _close(self, *, finish: bool) -> None:
        if self.beside is not None:
            self.beside.close(finish=finish)
            self.beside = None

    def state_dict(self) -> dict[str, Any]:
        """What the fixed reference scored, and what is not measured yet."""
        waiting = [] if self.beside is None else [item.state() for item in self.beside.waiting]
        return {"reference_psnr": self.reference_psnr, "waiting": waiting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with the same number, and measure what the killed run had not."""
        self.reference_psnr = state_dict["reference_psnr"]
        self.left = list(state_dict.get("waiting", []))

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
