"""One run in several processes (``trainer.devices``): each trains on its part of every batch.

The process that was started is the first of them and the run: it alone holds the lock, writes the
folder, measures INT8 and ships. The others are started by it, build the same parts from the same
job, read the same checkpoint, and end with it. Lightning's own launcher would start the command
line again in each process, which is a whole sweep where the run is a job of one.

They meet through a file, so no port is taken. None waits with a time limit worth the name: the
others have nothing to do while the first one measures. A process that dies is noticed all the
same, because its connection is closed.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from lightning.pytorch.loggers import Logger

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.job import Job
from sr_experiments.training.trainer import device, quiet_lightning

PATIENCE = timedelta(days=7)  # of one process for another
NOTICE = 3.0  # seconds in which a process that failed is known to have

Training = Callable[[Job, RunFolder, list[Logger]], object]


class OtherProcessError(Exception):
    """A process that trains with this one died, or failed; the message says how."""


@dataclass(frozen=True)
class _Place:
    """Which of the processes one is, and where they meet."""

    rank: int
    count: int
    meeting: str
    threads: int

    def join(self, job: Job) -> None:
        """Meet the others."""
        dist.init_process_group(
            "nccl" if device(job.config.trainer).type == "cuda" else "gloo",
            init_method=f"file://{self.meeting}/store",
            rank=self.rank,
            world_size=self.count,
            timeout=PATIENCE,
        )


@contextmanager
def together(train: Training, job: Job, folder: RunFolder, threads: int) -> Iterator[None]:
    """Start the other processes of a run, and end them with the block; one device needs none.

    Args:
        train: What they call with the job, its folder and no loggers; importable by name.
        job: The run.
        folder: The run's; the others only read it.
        threads: CPU threads of each process.

    Raises:
        UserError: As another process raised it.
        OtherProcessError: Another process raised something else, or died.
    """
    count = job.config.trainer.devices
    if count == 1:
        yield
        return
    with TemporaryDirectory() as meeting:
        here, *places = [_Place(rank, count, meeting, threads) for rank in range(count)]
        others = [_Other(train, job, folder, place) for place in places]
        try:
            for other in others:
                other.wait_until_ready()
            here.join(job)
            yield
        except UserError:
            raise
        except Exception as error:
            # What fails elsewhere is seen here as a connection that breaks.
            cause = _first_failure(others)
            if cause is None:
                raise
            raise cause from error
        finally:
            for other in others:
                other.end()
            if dist.is_initialized():
                dist.destroy_process_group()


class _Other:
    """Another process, as the first one sees it."""

    def __init__(self, train: Training, job: Job, folder: RunFolder, place: _Place) -> None:
        context = multiprocessing.get_context("spawn")
        self.rank = place.rank
        self.receiving, sending = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_take_part, args=(sending, train, job, folder.path, place), daemon=True
        )
        self.process.start()
        sending.close()

    def wait_until_ready(self) -> None:
        """Wait until it has imported everything.

        Raises:
            OtherProcessError: It died.
        """
        try:
            self.receiving.recv()
        except EOFError as error:
            raise OtherProcessError(f"process {self.rank} did not start") from error

    def failure(self) -> tuple[float, Exception] | None:
        """When and of what it failed; None while it works, and when it is done."""
        try:
            if not self.receiving.poll():
                return None
            failure: tuple[float, Exception] = self.receiving.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            if not code:
                return None
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            words = f"process {self.rank} of the run, from 0, was ended by {how}"
            return 0.0, OtherProcessError(words)
        return failure

    def end(self) -> None:
        """Kill it, unless it is over."""
        self.process.kill()
        self.process.join()
        self.receiving.close()


def _first_failure(others: list[_Other]) -> Exception | None:
    """What failed in another process before anything else did; None where nothing has."""
    until = time.monotonic() + NOTICE
    while time.monotonic() < until:
        found = [failure for other in others if (failure := other.failure()) is not None]
        if found:
            return min(found, key=lambda failure: failure[0])[1]
        time.sleep(NOTICE / 30)
    return None


def _take_part(sending: Connection, train: Training, job: Job, folder: Path, place: _Place) -> None:
    """What each of the other processes does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends all of them
    threading.Thread(target=_end_with_first, daemon=True).start()
    torch.set_num_threads(place.threads)
    quiet_lightning()
    sending.send("ready")
    try:
        place.join(job)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            train(job, RunFolder(folder), [])  # the first process says it all
    except UserError as error:
        sending.send((time.monotonic(), error))
    except Exception as error:
        traceback.print_exc()
        words = f"{type(error).__name__} in process {place.rank} of the run, from 0: {error}"
        sending.send((time.monotonic(), OtherProcessError(words)))


def _end_with_first() -> None:
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os.kill(os.getpid(), signal.SIGKILL)
