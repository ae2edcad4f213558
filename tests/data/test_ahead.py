"""Batches that a thread makes while a step works on the one before."""

import os
import pickle
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.data import SRData
from sr_experiments.data.ahead import Ahead

PATIENCE = 60.0  # seconds


class Counted:
    """Squares, with the numbers that were asked for and the threads that worked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.threads: list[str] = []
        self.cores: list[int] = []

    def __call__(self, number: int) -> int:
        if number == 7:
            raise ValueError("seven")
        self.threads.append(threading.current_thread().name)
        self.cores.append(torch.get_num_threads())
        self.asked.append(number)  # last: what waits for it looks at the others
        return number**2

    def wait_for(self, number: int) -> None:
        limit = time.monotonic() + PATIENCE
        while number not in self.asked and time.monotonic() < limit:
            time.sleep(0.001)
        assert number in self.asked


def test_the_next_of_a_row_is_there_before_it_is_asked_for() -> None:
    make = Counted()
    ahead = Ahead(make)
    assert [ahead(0), ahead(1)] == [0, 1]
    make.wait_for(2)
    assert [ahead(2), ahead(3), ahead(4)] == [4, 9, 16]
    make.wait_for(5)
    assert make.asked == [0, 1, 2, 3, 4, 5]  # each of them once
    here = threading.current_thread().name
    assert make.threads[:2] == [here, here]
    assert here not in make.threads[2:]


def test_a_number_out_of_turn_is_made_at_once_and_the_row_goes_on() -> None:
    make = Counted()
    ahead = Ahead(make)
    given = [ahead(number) for number in (0, 1, 1, 2, 100, 3, 50, 51, 52, 0)]
    assert given == [0, 1, 1, 4, 10_000, 9, 2500, 2601, 2704, 0]


def test_single_numbers_start_no_thread() -> None:
    make = Counted()
    ahead = Ahead(make)
    assert [ahead(number) for number in (5, 9, 3)] == [25, 81, 9]
    assert make.asked == [5, 9, 3]
    assert ahead._thread is None


def test_what_the_thread_raises_comes_when_its_number_is_asked_for() -> None:
    ahead = Ahead(Counted())
    assert [ahead(5), ahead(6)] == [25, 36]
    with pytest.raises(ValueError, match="seven"):
        ahead(7)
    assert [ahead(8), ahead(9), ahead(10)] == [64, 81, 100]


def test_the_thread_takes_one_core_and_the_steps_keep_theirs() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        make = Counted()
        ahead = Ahead(make)
        for number in range(4):
            ahead(number)
        make.wait_for(4)
        assert torch.get_num_threads() == 2
        assert make.cores == [2, 2, 1, 1, 1]
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)


def in_turn(data: SRData, numbers: list[int]) -> list[torch.Tensor]:
    return [part for number in numbers for part in data.train_batch(number)]


def data_of(cache: Path) -> SRData:
    degradation = {"share": 0.5}
    return SRData(
        ["photos:train"], ["photos:val"], [], 3, batch_size=4, patch=12, cache_dir=cache,
        degradation=degradation,
    )  # fmt: skip


def test_batches_in_turn_are_those_out_of_turn(packed_photos: Path) -> None:
    forward, backward = data_of(packed_photos), data_of(packed_photos)
    numbers = list(range(6))
    there = in_turn(forward, numbers)
    back = {number: backward.train_batch(number) for number in reversed(numbers)}
    assert backward._ahead is not None
    assert backward._ahead._thread is None
    assert forward._ahead is not None
    assert forward._ahead._thread is not None
    for mine, other in zip(
        there, [part for number in numbers for part in back[number]], strict=True
    ):
        assert torch.equal(mine, other)


def test_data_whose_thread_runs_can_be_sent_to_another_process(packed_photos: Path) -> None:
    data = data_of(packed_photos)
    expected = in_turn(data, [0, 1, 2, 3])
    copy = pickle.loads(pickle.dumps(data))
    assert all(map(torch.equal, in_turn(copy, [0, 1, 2, 3]), expected))


@pytest.mark.parametrize("gone", [False, True])
def test_another_process_measures_on_the_same_pictures_whatever_became_of_them(
    gone: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (60, 57, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    sets: dict[str, Any] = {"train": ["folder:train"], "val": ["folder:val"], "test": []}
    data = SRData(**sets, scale=3, patch=8, cache_dir=tmp_path / "cache", root=folder)
    data.setup()
    ((_, low_res, high_res),), crops = data.val_pairs(), data.calibration(2, 8)
    (folder / "2.png").unlink()  # the one that validates, which a folder's split goes by
    if gone:
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "cache")
    sent = pickle.dumps(data)
    assert gone == (len(sent) > high_res.numel())
    copy = pickle.loads(sent)
    ((_, low_again, high_again),) = copy.val_pairs()
    assert torch.equal(low_again, low_res)
    assert torch.equal(high_again, high_res)
    assert torch.equal(copy.calibration(2, 8), crops)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_makes_a_thread_of_its_own() -> None:
    ahead = Ahead(lambda number: number**2)
    assert [ahead(number) for number in range(3)] == [0, 1, 4]
    child = os.fork()
    if child == 0:
        right = [ahead(number) for number in range(3, 6)] == [9, 16, 25]
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
