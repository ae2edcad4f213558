"""Being told to end: by a cluster, by Ctrl-C, by whoever sent a signal.

A cluster sends SIGTERM (SLURM with ``--signal=USR1@60`` also SIGUSR1) some time before it kills.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StoppedError(SystemExit):
    """The process was told to end by a signal; the exit code is the shell's for it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number
        self.name = signal.Signals(number).name

    def __str__(self) -> str:
        return f"stopped by {self.name}"


@contextmanager
def stopped_by_signals(*, polite: bool = False) -> Iterator[None]:
    """Raise `StoppedError` at once on a signal that would otherwise end the process unrecorded.

    Ctrl-C raises KeyboardInterrupt as ever.

    Args:
        polite: Leave a signal alone that somebody else listens to, as a cluster's launcher does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError(number)

    numbers = [number for number in SIGNALS if number != signal.SIGINT]
    if polite:
        numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
