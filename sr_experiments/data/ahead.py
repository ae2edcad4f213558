"""The next batch, made by a thread while a step works on this one.

Batches are pure functions of their number, so a thread changes when one is made and not what it
is: nothing has to be saved for a resumed run, and a number out of turn is made at once. The
thread computes on one core only. Torch would give it as many as the steps have, and its helpers
would wait for work on the cores that the steps need.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

__all__ = ["Ahead"]

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """A function of a number that is called in turn, one call ahead.

    From the second call in turn on, ``make(n + 1)`` runs in a thread as soon as ``n`` was asked
    for.

    Args:
        make: A pure function.
    """

    def __init__(self, make: Callable[[int], Made]) -> None:
        self.make = make
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._last: int | None = None
        self._next: tuple[int, Future[Made]] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def __call__(self, number: int) -> Made:
        """What ``make(number)`` gives, and raises."""
        if self._process != os.getpid():  # a fork has no threads of its parent
            self._forget()
        if self._next is not None and self._next[0] == number:
            made = self._next[1].result()
            self._next = None
        else:
            made = self.make(number)
        if self._last is not None and number == self._last + 1:
            self._start(number + 1)
        self._last = number
        return made

    def _start(self, number: int) -> None:
        if self._next is not None and self._next[0] == number:
            return
        if self._thread is None:
            self._thread = _one_core()
        self._next = number, self._thread.submit(self.make, number)


def _one_core() -> ThreadPoolExecutor:
    """A thread whose operations use one core; those of its caller keep theirs."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(1, "ahead")
    pool.submit(torch.set_num_threads, 1).result()  # of that thread and of those to come
    pool.submit(torch.get_num_threads).result()  # the thread's first look settles its number
    torch.set_num_threads(threads)
    return pool
