"""What may befall a job, as a callback; jobs of the tests import it by PYTHONPATH."""

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch import Callback


class Misfortune(Callback):
    """Strike after the validation of an epoch, each time or but once.

    Args:
        kind: ``raise``; ``memory``, as the kernel ends what takes too much; ``limit``, memory that
            is refused; ``pause``, until ``paused`` in the run folder is removed; or ``kill``,
            which strikes the whole sweep.
        only: The seed of the job that is struck.
        seed: The job's own.
        epoch: Counted from 0.
        once: A file that is made when it strikes; where it is there, nothing happens.
    """

    def __init__(
        self, kind: str, only: int, seed: int, epoch: int = 0, once: str | None = None
    ) -> None:
        self.kind = kind
        self.struck = only == int(seed)  # Hydra may hand on text
        self.epoch = epoch
        self.once = once

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.struck or trainer.current_epoch != self.epoch:
            return
        if self.once is not None:
            if Path(self.once).exists():
                return
            Path(self.once).touch()
        if self.kind == "raise":
            raise RuntimeError("a wire came loose")
        if self.kind == "memory":
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does
        if self.kind == "limit":
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 2**26, resource.RLIM_INFINITY))
            torch.zeros(2**28)  # floats
        if self.kind == "pause":
            mark = Path(trainer.default_root_dir, "paused")
            taken = [path for path in mark.parent.parent.glob("*/paused") if path != mark]
            if not taken:
                mark.touch()
            while mark.exists():
                time.sleep(0.05)
        if self.kind == "kill":
            sweep = multiprocessing.parent_process()
            assert sweep is not None
            assert sweep.pid is not None
            os.kill(sweep.pid, signal.SIGKILL)
            signal.pause()
