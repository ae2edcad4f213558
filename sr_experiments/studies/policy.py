"""Which pictures are in which mini-batch, and which mini-batches train when.

Pictures are sorted once and cut into consecutive batches, as the mini-batch paper does (section
3); its conclusions (section 5) say which of these to train on, and that this depends on the phase
of the training. A policy says it: what to keep in each phase, by one metric or by several, and in
which order it comes. An epoch has the same number of steps whatever is kept, so policies are
compared at equal cost.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.errors import UserError

__all__ = ["Condition", "Policy", "Schedule"]

Shuffle = Literal["none", "batches", "pictures"]
Interval = Sequence[float]
Keep = Sequence[Sequence[Interval]]  # intervals of each phase; one phase is for all of them


class Condition:
    """What else a picture has to be, by another metric than the one that makes the batches.

    Args:
        metric: As ``task.metric``.
        keep: As `Policy`'s.

    Raises:
        UserError: An interval is no interval.
    """

    def __init__(self, metric: Callable[[Tensor], Tensor], keep: Keep) -> None:
        _check(keep, "task.policy.also.<name>.keep")
        self.metric, self.keep = metric, keep


class Policy:
    """What trains in which phase.

    Args:
        keep: For each phase, intervals of the order by the metric, as shares from 0 to 1:
            ``[[[0.75, 1.0]], [[0.1, 0.9]]]`` is the highest quarter first, then the middle. One
            phase is for all of them. None: everything.
        shuffle: ``none`` goes through the batches in the metric's order, ``batches`` through the
            same batches in a new order each time, and ``pictures`` draws new batches from all
            pictures that are kept.
        also: By name, further conditions that a picture has to meet; for ``pictures`` alone.

    Raises:
        UserError: An interval is no interval, ``shuffle`` is none of these, or whole batches
            are to meet conditions of pictures.
    """

    def __init__(
        self,
        keep: Keep | None = None,
        shuffle: Shuffle = "none",
        also: Mapping[str, Condition] | None = None,
    ) -> None:
        if shuffle not in get_args(Shuffle):
            raise UserError(
                f"task.policy.shuffle={shuffle} is none of {', '.join(get_args(Shuffle))}"
            )
        if keep is not None:
            _check(keep, "task.policy.keep")
        if also and shuffle != "pictures":
            raise UserError(
                "task.policy.also chooses pictures, not whole batches: add "
                "task.policy.shuffle=pictures"
            )
        self.keep, self.shuffle, self.also = keep, shuffle, dict(also or {})

    def kept(self, phase: int, count: int) -> NDArray[np.int64]:
        """Places that stay of ``count`` in order, at least one."""
        if self.keep is None:
            return np.arange(count)
        places = np.flatnonzero(_inside(self.keep, phase, count))
        if not len(places):
            raise UserError(
                f"task.policy.keep={self.keep} keeps none of {count} batches: lower "
                "data.batch_size or widen the intervals"
            )
        return places

    @property
    def phases(self) -> set[int]:
        """For how many phases its parts have entries of their own."""
        keeps = [self.keep or [()], *(condition.keep for condition in self.also.values())]
        return {len(keep) for keep in keeps}


class Schedule:
    """The batches of a training: which pictures iteration ``i`` sees is a pure function of it.

    Args:
        order: (N,) int64, the pictures in the metric's order. The last ones, which fill no
            batch, are left out, as the paper's 195 batches of 256 leave out 80 of 50,000.
        batch_size: Pictures per batch.
        policy: What is kept and shuffled.
        epochs: Of the training.
        steps: Batches per epoch.
        phases: Equal parts of the training.
        seed: Of the shuffling.
        others: (N,) int64 each, the pictures in the order of each of the policy's conditions.

    Raises:
        UserError: The policy keeps nothing in some phase, or fewer pictures than a batch has.
    """

    def __init__(
        self,
        order: Tensor,
        batch_size: int,
        policy: Policy,
        *,
        epochs: int,
        steps: int,
        phases: int = 3,
        seed: int = 1,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.count = len(order) // batch_size
        self.batches = order[: self.count * batch_size].view(self.count, batch_size)
        self.policy, self.seed = policy, seed
        self.epochs, self.steps, self.phases = epochs, steps, phases
        self._kept = [policy.kept(phase, self.count) for phase in range(phases)]
        if policy.shuffle == "pictures":
            self._kept = [self._kept_pictures(phase, others or {}) for phase in range(phases)]

    def phase(self, epoch: int) -> int:
        """Phase of an epoch, both from 0; lengths differ by one epoch at most."""
        return min(epoch * self.phases // self.epochs, self.phases - 1)

    def place(self, iteration: int) -> int | None:
        """Which of the fixed batches an iteration trains on; None where pictures are shuffled."""
        if self.policy.shuffle == "pictures":
            return None
        epoch, step = divmod(iteration, self.steps)
        kept = self._kept[self.phase(epoch)]
        turn, position = divmod(step, len(kept))
        if self.policy.shuffle == "batches":
            kept = self._random(epoch, turn).permutation(kept)
        return int(kept[position])

    def pictures(self, iteration: int) -> Tensor:
        """The pictures of an iteration, (batch_size,) int64."""
        place = self.place(iteration)
        if place is not None:
            return self.batches[place]
        epoch, step = divmod(iteration, self.steps)
        size = self.batches.shape[1]
        kept = self._kept[self.phase(epoch)]
        turns = math.ceil((step + 1) * size / len(kept))
        stream = [self._random(epoch, turn).permutation(kept) for turn in range(turns)]
        chosen = np.concatenate(stream)[step * size : (step + 1) * size]
        return self.batches.flatten()[torch.from_numpy(chosen)]

    def _kept_pictures(self, phase: int, others: Mapping[str, Tensor]) -> NDArray[np.int64]:
        """Places in the metric's order of the pictures that meet every condition."""
        places = self.policy.kept(phase, self.batches.numel())
        pictures = self.batches.flatten().numpy()[places]
        stays = np.ones(len(places), dtype=bool)
        for name, condition in self.policy.also.items():
            order = others[name].numpy()
            good = np.zeros(len(order), dtype=bool)
            good[order] = _inside(condition.keep, phase, len(order))
            stays &= good[pictures]
        if self.policy.also and stays.sum() < self.batches.shape[1]:
            raise UserError(
                f"task.policy keeps {stays.sum()} pictures in phase {phase + 1}, less than a "
                "batch: widen the intervals, or raise data.images"
            )
        return places[stays]

    def _random(self, epoch: int, turn: int) -> np.random.Generator:
        seeds = np.random.SeedSequence([self.seed % 2**64, epoch, turn])
        return np.random.Generator(np.random.PCG64(seeds))


def _check(keep: Keep, key: str) -> None:
    if not keep:
        raise UserError(f"{key}=[]: name the intervals of each phase, or null")
    for phase in keep:
        if not phase:
            raise UserError(f"{key}: a phase keeps nothing")
        for interval in phase:
            if len(interval) != 2 or not 0 <= interval[0] < interval[1] <= 1:
                raise UserError(
                    f"{key}: {list(interval)} is not [from, to] with 0 <= from < to <= 1"
                )


def _inside(keep: Keep, phase: int, count: int) -> NDArray[np.bool_]:
    """Which of ``count`` places in order lie in the intervals of a phase."""
    share = (np.arange(count) + 0.5) / count
    inside = np.zeros(count, dtype=bool)
    for low, high in keep[min(phase, len(keep) - 1)]:
        inside |= (share >= low) & (share < high)
    return inside
