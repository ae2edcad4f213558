"""Measuring beside the training: another process, on the CPU, takes the weights of an epoch.

A GPU trains an epoch of a small network faster than a CPU measures its INT8 file. Results come
late, and are written into the row of the epoch they belong to. What is not in its row yet is in
the checkpoint, weights and all, so a run that is killed and taken up measures it again.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sr_experiments.callbacks.measuring import make_file, measure
from sr_experiments.data import SRData
from sr_experiments.models import SRModel
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import HalfPrecision, PostTraining
from sr_experiments.quantization.trace import trace

LAG = 4  # measurements that may wait; training waits for the oldest when there are more
WRITE_EVERY = 5.0  # seconds: the table is written anew for results that come late
FILE = "file"  # key of a finished file among the weights

Late = Callable[[Mapping[int, Mapping[str, float]]], None]


@dataclass(eq=False)  # tensors have no one truth
class Measurement:
    """One epoch's, which may not be over.

    Attributes:
        epoch: Of the whole run.
        reference: PSNR of the network in floating point, in dB.
        weights: Of the folded network on the CPU, or under ``file`` the bytes to run.
        future: Of PSNR and seconds; None before it is handed to the process.
    """

    epoch: int
    reference: float
    weights: dict[str, Tensor]
    future: Future[tuple[float, float]] | None = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"epoch": self.epoch, "reference": self.reference, "weights": self.weights}


@dataclass
class Overlap:
    """The process, and what it has to do.

    Args:
        mode: Quantisation.
        network: Folded, on the CPU; each measurement brings its weights.
        data: Its validation images are scored.
        threads: Of the process; None is torch's choice.
        late: Takes results by epoch.
    """

    mode: PostTraining | HalfPrecision
    network: SRModel
    data: SRData
    threads: int | None
    late: Late
    waiting: list[Measurement] = field(default_factory=list)
    written: float = 0.0
    _pool: ProcessPoolExecutor | None = None

    @property
    def kind(self) -> str:
        """``int8`` or ``fp16``, in the names of metrics."""
        return "fp16" if isinstance(self.mode, HalfPrecision) else "int8"

    def submit(self, measurement: Measurement) -> None:
        """Hand over a measurement; waits while too many are on the way."""
        self.collect(most=LAG - 1)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self.mode, self.network, self.data, self.threads),
            )
        measurement.future = self._pool.submit(_measured, measurement.weights)
        self.waiting.append(measurement)

    def collect(self, most: int = LAG) -> None:
        """Write what is over, and wait until at most so many are left."""
        running = [item for item in self.waiting if not _is_over(item)]
        for item in running[: max(0, len(running) - most)]:
            assert item.future is not None
            item.future.result()
        over = [item for item in self.waiting if _is_over(item)]
        if not over or (most and time.monotonic() - self.written < WRITE_EVERY):
            return
        self.late({item.epoch: self._values(item) for item in over})
        self.waiting = [item for item in self.waiting if item not in over]
        self.written = time.monotonic()

    def _values(self, item: Measurement) -> dict[str, float]:
        assert item.future is not None
        psnr, seconds = item.future.result()
        return {
            f"val_{self.kind}/psnr": psnr,
            f"val/{self.kind}_drop": item.reference - psnr,
            f"time/{self.kind}": seconds,
        }

    def close(self, *, finish: bool) -> None:
        """End the process, when all is measured or at once."""
        if finish:
            self.collect(most=0)
        if self._pool is not None:
            self._pool.shutdown(wait=finish, cancel_futures=True)
            self._pool = None


def _is_over(item: Measurement) -> bool:
    return item.future is not None and item.future.done()


@dataclass
class _Worker:
    mode: PostTraining | HalfPrecision
    network: SRModel
    graph: Graph
    data: SRData
    threads: int


_worker: _Worker | None = None  # of the process that measures


def _begin(
    mode: PostTraining | HalfPrecision, network: SRModel, data: SRData, threads: int | None
) -> None:
    """Make the process ready; it ends with the one that trains, however that ends."""
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads is not None:
        torch.set_num_threads(threads)
    count = threads or torch.get_num_threads()
    _worker = _Worker(mode, network, trace(network), data, count)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@torch.no_grad()
def _measured(weights: dict[str, Tensor]) -> tuple[float, float]:
    """PSNR in dB, and the seconds that it took."""
    assert _worker is not None
    start = time.perf_counter()
    if FILE in weights:
        file = weights[FILE].numpy().tobytes()
    else:
        _worker.network.load_state_dict(weights)
        file = make_file(_worker.mode, _worker.graph, _worker.data)
    return measure(file, _worker.data, _worker.threads), time.perf_counter() - start
