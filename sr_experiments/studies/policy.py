"""Which pictures are in which mini-batch, and which mini-batches train when.

Pictures are sorted once and cut into consecutive batches, as the mini-batch paper does (section
3); its conclusions (section 5) say which of these to train on, and that this depends on the phase
of the training. A policy says it: what to keep in each phase, and in which order it comes. An
epoch has the same number of steps whatever is kept, so policies are compared at equal cost.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.errors import UserError

__all__ = ["Policy", "Schedule"]

Shuffle = Literal["none", "batches", "pictures"]
Interval = Sequence[float]


class Policy:
    """What trains in which phase.

    Args:
        keep: For each phase, intervals of the order by the metric, as shares from 0 to 1:
            ``[[[0.75, 1.0]], [[0.1, 0.9]]]`` is the highest quarter first, then the middle. One
            phase is for all of them. None: everything.
        shuffle: ``none`` goes through the batches in the metric's order, ``batches`` through the
            same batches in a new order each time, and ``pictures`` draws new batches from all
            pictures that are kept.

    Raises:
        UserError: An interval is no interval, or ``shuffle`` is none of these.
    """

    def __init__(
        self, keep: Sequence[Sequence[Interval]] | None = None, shuffle: Shuffle = "none"
    ) -> None:
        if shuffle not in get_args(Shuffle):
            raise UserError(
                f"task.policy.shuffle={shuffle} is none of {', '.join(get_args(Shuffle))}"
            )
        if keep is not None and not keep:
            raise UserError("task.policy.keep=[]: name the intervals of each phase, or null")
        for phase in keep or []:
            if not phase:
                raise UserError("task.policy.keep: a phase keeps nothing")
            for interval in phase:
                if len(interval) != 2 or not 0 <= interval[0] < interval[1] <= 1:
                    raise UserError(
                        f"task.policy.keep: {list(interval)} is not [from, to] with "
                        "0 <= from < to <= 1"
                    )
        self.keep = None if keep is None else [[tuple(pair) for pair in phase] for phase in keep]
        self.shuffle = shuffle

    def kept(self, phase: int, count: int) -> NDArray[np.int64]:
        """Places that stay of ``count`` in order, at least one."""
        if self.keep is None:
            return np.arange(count)
        intervals = self.keep[min(phase, len(self.keep) - 1)]
        share = (np.arange(count) + 0.5) / count
        inside = np.zeros(count, dtype=bool)
        for low, high in intervals:
            inside |= (share >= low) & (share < high)
        if not inside.any():
            raise UserError(
                f"task.policy.keep={self.keep} keeps none of {count} batches: lower "
                "data.batch_size or widen the intervals"
            )
        return np.flatnonzero(inside)

    @property
    def phases(self) -> int:
        """For how many phases it has an entry of its own."""
        return 1 if self.keep is None else len(self.keep)


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

    Raises:
        UserError: The policy keeps nothing in some phase.
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
    ) -> None:
        self.count = len(order) // batch_size
        self.batches = order[: self.count * batch_size].view(self.count, batch_size)
        self.policy, self.seed = policy, seed
        self.epochs, self.steps, self.phases = epochs, steps, phases
        for phase in range(phases):
            policy.kept(phase, self.count)

    def phase(self, epoch: int) -> int:
        """Phase of an epoch, both from 0; lengths differ by one epoch at most."""
        return min(epoch * self.phases // self.epochs, self.phases - 1)

    def place(self, iteration: int) -> int | None:
        """Which of the fixed batches an iteration trains on; None where pictures are shuffled."""
        if self.policy.shuffle == "pictures":
            return None
        epoch, step = divmod(iteration, self.steps)
        kept = self.policy.kept(self.phase(epoch), self.count)
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
        kept = self.policy.kept(self.phase(epoch), self.batches.numel())
        turns = math.ceil((step + 1) * size / len(kept))
        stream = [self._random(epoch, turn).permutation(kept) for turn in range(turns)]
        chosen = np.concatenate(stream)[step * size : (step + 1) * size]
        return self.batches.flatten()[torch.from_numpy(chosen)]

    def _random(self, epoch: int, turn: int) -> np.random.Generator:
        seeds = np.random.SeedSequence([self.seed % 2**64, epoch, turn])
        return np.random.Generator(np.random.PCG64(seeds))
