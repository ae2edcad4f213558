"""Runs of one process: one at a time, each with its own random state; none waits for the dead."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from sr_experiments.tasks.turns import Seat, Turns, current_seat


def play(
    hold: Callable[[Sequence[Any]], Sequence[Any]], *parts: Callable[[Seat], object]
) -> list[object]:
    """Play each part in a thread and seat of its own; what each returned or raised."""
    turns = Turns([str(place) for place in range(len(parts))], hold)
    ends: list[object] = [None] * len(parts)

    def run(place: int) -> None:
        seat = turns.seats[place]
        with seat.taken():
            assert current_seat() is seat
            try:
                ends[place] = parts[place](seat)
            except ValueError as error:
                ends[place] = str(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(parts))]
    for thread in reversed(threads):  # who is there first is not who goes first
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert current_seat() is None
    return ends


def test_runs_meet_in_their_order_and_one_that_is_over_is_not_waited_for() -> None:
    held: list[list[int]] = []
    told: list[str] = []

    def hold(offers: Sequence[int]) -> list[int]:
        held.append(list(offers))
        return [10 * offer for offer in offers]

    def part(first: int, meetings: int) -> Callable[[Seat], object]:
        def run(seat: Seat) -> list[int]:
            got = []
            for count in range(meetings):
                told.append(seat.name)
                got.append(seat.meet(first + count))
            return got

        return run

    assert play(hold, part(100, 2), part(200, 1), part(300, 4)) == [
        [1000, 1010],
        [2000],
        [3000, 3010, 3020, 3030],
    ]
    assert held == [[100, 200, 300], [101, 301], [302], [303]]
    assert told == ["0", "1", "2", "0", "2", "2", "2"]


def test_a_run_that_fails_leaves_the_others_to_go_on() -> None:
    def fails(seat: Seat) -> None:
        seat.meet("once")
        assert not seat.is_last
        raise ValueError("out of luck")

    def goes_on(seat: Seat) -> list[object]:
        return [*(seat.meet(step) for step in range(3)), seat.is_last]

    ends = play(lambda offers: offers, goes_on, fails, goes_on)
    assert ends == [[0, 1, 2, False], "out of luck", [0, 1, 2, True]]


def test_what_a_meeting_fails_with_is_raised_where_it_belongs() -> None:
    def hold(offers: Sequence[str]) -> list[object]:
        if "all" in offers:
            raise ValueError("for all")
        return [ValueError("for one") if offer == "bad" else offer for offer in offers]

    def part(offer: str) -> Callable[[Seat], object]:
        return lambda seat: seat.meet(offer)

    assert play(hold, part("good"), part("bad")) == ["good", "for one"]
    assert play(hold, part("good"), part("all")) == ["for all", "for all"]


def test_each_run_draws_the_random_numbers_that_it_draws_alone() -> None:
    def part(seed: int) -> Callable[[Seat], object]:
        def run(seat: Seat) -> list[float]:
            torch.manual_seed(seed)
            drawn = []
            for _ in range(3):
                drawn += torch.rand(2).tolist()
                seat.meet("step")
            return drawn

        return run

    expected = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected.append(torch.rand(2).tolist() + torch.rand(2).tolist() + torch.rand(2).tolist())
    assert play(lambda offers: offers, part(1), part(2)) == expected


@pytest.mark.parametrize("signal", [None, 15])
def test_a_run_knows_what_the_process_was_told(signal: int | None) -> None:
    turns = Turns(["only"], list, lambda: signal)
    assert turns.seats[0].turns.told() == signal
