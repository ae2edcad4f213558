"""Runs of one process that take turns, and meet where they compute together.

Each run has a thread of its own and does in it what it does alone: folder, trainer, callbacks,
checkpoints. Only one thread runs at a time, and it goes on until it meets the others; so what is
one in a process (Hydra, the random state, a figure being drawn) is never used by two at once. The
random state is kept for each run between its turns. Every run draws the numbers that it would
draw alone.

At a meeting each run offers something and waits; when all have, what they offered is computed at
once, and each gets its own answer. A run that is over, however it ended, is waited for no more.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor

from sr_experiments.functional.random_state import get_random_state, set_random_state

Hold = Callable[[Sequence[Any]], Sequence[Any]]

_SEAT: ContextVar["Seat | None"] = ContextVar("seat", default=None)


def current_seat() -> "Seat | None":
    """The seat of the run that this thread trains; None where a run has its process to itself."""
    return _SEAT.get()


class Seat:
    """One run's place among those of its process.

    Attributes:
        name: Of the run.
        over: Whether the run has ended.
    """

    def __init__(self, turns: "Turns", name: str) -> None:
        self.turns, self.name = turns, name
        self.over = False
        self.offer: Any = None
        self.answer: Any = None
        self.random: dict[str, Tensor] | None = None

    @property
    def is_last(self) -> bool:
        """Whether every other run of the process is over."""
        return all(seat.over for seat in self.turns.seats if seat is not self)

    def meet(self, offer: Any) -> Any:
        """Wait until every other run has an offer, too.

        Returns:
            What came of this one.

        Raises:
            BaseException: What it failed with.
        """
        self.offer = offer
        self.turns.pass_on(self)
        answer, self.answer = self.answer, None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Run the block in this seat: it begins with the first turn, and ends in leaving."""
        token = _SEAT.set(self)
        self.turns.wait_for(self)
        try:
            yield
        finally:
            self.over = True
            self.turns.pass_on(self)
            _SEAT.reset(token)


class Turns:
    """Who of some runs goes on, and what they do when they meet.

    Args:
        names: Of the runs.
        hold: Makes of their offers, at least one, as many answers; an exception among these is
            raised in the run that it is for, one that it raises in all of them.
        told: The signal that the process was sent; None while there is none.
    """

    def __init__(
        self, names: Sequence[str], hold: Hold, told: Callable[[], int | None] = lambda: None
    ) -> None:
        self.seats = [Seat(self, name) for name in names]
        self.hold, self.told = hold, told
        self._changed = threading.Condition()
        self._current: Seat | None = self.seats[0]

    def pass_on(self, seat: Seat) -> None:
        """Let the next run go on; come back when it is this one's turn, unless it is over."""
        here = [other for other in self.seats if not other.over]
        if here and all(other.offer is not None for other in here):
            self._meet(here)
        if not seat.over:
            seat.random = get_random_state()
        # Those without an offer, in the order of the seats: so the last one holds every meeting.
        following = next((other for other in here if other.offer is None), None)
        with self._changed:
            self._current = following
            self._changed.notify_all()
        if not seat.over:
            self.wait_for(seat)

    def wait_for(self, seat: Seat) -> None:
        """Wait until it is a run's turn, and give it its random state back."""
        with self._changed:
            self._changed.wait_for(lambda: self._current is seat)
        if seat.random is not None:
            set_random_state(seat.random)

    def _meet(self, here: Sequence[Seat]) -> None:
        try:
            answers = self.hold([seat.offer for seat in here])
        except Exception as error:  # each is told, and ends as it would alone
            answers = [error] * len(here)
        for seat, answer in zip(here, answers, strict=True):
            seat.offer, seat.answer = None, answer
