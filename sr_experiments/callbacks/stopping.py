"""SIGTERM and Ctrl-C: finish the batch, save a checkpoint, end; the same command goes on there.

Lightning alone would leave at once, with the last epoch's checkpoint and, after SIGTERM, with the
exit code of success.

The checkpoint is of the middle of an epoch. Batches are a function of their number, so the rest of
the epoch is trained as it would have been; what Lightning forgets are the sums behind the epoch's
means, which schedules may go by, so they are kept here.
"""

import signal
import threading
import time
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from sr_experiments.callbacks.checkpoints import Checkpoints
from sr_experiments.signals import SIGNALS, StoppedError
from sr_experiments.tasks import Task
from sr_experiments.tasks.turns import current_seat

ECHO = 1.0  # seconds; a Ctrl-C in a terminal may come twice, passed on by a sweep


class Listener:
    """Notes the first signal that asks a process to stop; a second Ctrl-C ends it at once.

    Attributes:
        received: Its number; None while there is none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.when = 0.0
        self.before: dict[int, Any] = {}

    def listen(self) -> None:
        """Begin; only a process's main thread can, and others hear nothing."""
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def listen_no_more(self) -> None:
        """Leave signals to whom they belonged."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is not None and number == signal.SIGINT and now > self.when + ECHO:
            raise KeyboardInterrupt
        if self.received is None:
            name = signal.Signals(number).name
            print(f"{name}: stopping after this batch, or after validation", flush=True)
            self.received, self.when = number, now


class Stopping(pl.Callback):
    """Stop between two batches once a signal has come; a second Ctrl-C ends at once.

    Args:
        checkpoints: Who saves.

    Raises:
        StoppedError: Out of the training, after saving.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.listener = Listener()
        self.sums: dict[str, tuple[Tensor, Tensor]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen; the process does for all of several runs that it trains."""
        self.listener.listen()

    @property
    def received(self) -> int | None:
        """The signal that asked this run to stop, if one did."""
        seat = current_seat()
        return self.listener.received if seat is None else seat.turns.told()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop: every step until here is whole."""
        assert isinstance(pl_module, Task)
        stop = self.received is not None
        if trainer.world_size > 1:  # every process stops before the same batch
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if not stop:
            return
        if batch_idx and pl_module.resumes_in_epoch:  # else the last epoch's is as new
            self.sums = {
                name: (metric.value.clone(), metric.cumulated_batch_size.clone())
                for name, metric in _means(trainer).items()
            }
            self.checkpoints.save(trainer)
        self._end()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """In a resumed epoch, add what the batches before it had summed up, once there is a sum."""
        means = _means(trainer) if self.sums else {}
        for name in means.keys() & self.sums.keys():
            value, count = self.sums.pop(name)
            means[name].value += value.to(means[name].value)
            means[name].cumulated_batch_size += count.to(means[name].value.device)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop after the last epoch, too: its checkpoint is there."""
        if self.received is not None:
            self._end()
        self.listener.listen_no_more()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave signals to whom they belonged."""
        self.listener.listen_no_more()

    def state_dict(self) -> dict[str, Any]:
        """The sums of the epoch so far, in a checkpoint of its middle."""
        return {"sums": self.sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them."""
        self.sums = state_dict["sums"]

    def _end(self) -> None:
        self.listener.listen_no_more()
        raise StoppedError(self.received or signal.SIGTERM)


def _means(trainer: pl.Trainer) -> dict[str, Any]:
    """Lightning's sums behind the means of the epoch in progress."""
    results = trainer.fit_loop.epoch_loop._results
    return {
        name: metric
        for name, metric in results.items()
        if metric.meta.on_epoch and metric.meta.is_mean_reduction
    }
