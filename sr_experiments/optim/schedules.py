"""Learning-rate schedules stepped once per iteration, their corners as shares of the training.

So a shorter training (``budget=0.1``) has the same shape, and no corner is given in steps. All
are closed forms of the iteration: resuming cannot drift.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sr_experiments.errors import UserError


class Schedule(LRScheduler):
    """A learning rate that depends on the share of the training that is done.

    Args:
        optimizer: Its ``lr`` is the base learning rate of each parameter group.
        total_steps: Iterations of the whole training; afterwards the last value stays.

    Raises:
        UserError: There are no steps, or an option is out of range.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int) -> None:
        if total_steps < 1:
            raise UserError(f"A schedule over {total_steps} steps is not possible.")
        self.total_steps = total_steps
        super().__init__(optimizer)

    @abstractmethod
    def at(self, progress: float, base: float) -> float:
        """Learning rate at ``progress`` in [0, 1] of a group that began with ``base``."""

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group at the current iteration."""
        progress = min(self.last_epoch / self.total_steps, 1.0)
        return [self.at(progress, float(base)) for base in self.base_lrs]


class Triangular(Schedule):
    """XLSR's single triangle (paper, 4.2; after Smith's cyclical rates, arXiv:1506.01186).

    Two straight ramps: up to ``peak`` in the first hundredth of the training, then down. The
    three values are absolute, so the optimiser's own ``lr`` is not used.

    Args:
        optimizer: All its groups get the same learning rate.
        total_steps: Iterations of the whole training.
        start: Learning rate of the first iteration.
        peak: Highest learning rate.
        end: Learning rate at the end.
        peak_at: Where the peak lies, as a share of the training: 50 of the paper's 5000 epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        start: float = 5e-5,
        peak: float = 25e-4,
        end: float = 1e-4,
        peak_at: float = 0.01,
    ) -> None:
        _check_share("peak_at", peak_at)
        self.start, self.peak, self.end, self.peak_at = start, peak, end, peak_at
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        if progress < self.peak_at:
            return _between(self.start, self.peak, progress / self.peak_at)
        return _between(self.peak, self.end, (progress - self.peak_at) / (1 - self.peak_at))


class Cosine(Schedule):
    """Half a cosine from the optimiser's ``lr`` to ``end``, after a linear warm-up.

    Args:
        optimizer: Its ``lr`` is where the cosine starts.
        total_steps: Iterations of the whole training.
        warmup: Share of the training over which the learning rate rises from zero.
        end: Learning rate at the end.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup: float = 0.0, end: float = 0.0
    ) -> None:
        _check_share("warmup", warmup)
        self.warmup, self.end = warmup, end
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        if progress < self.warmup:
            # One step ahead, so that the first iteration already moves.
            return base * min(1.0, (progress + 1 / self.total_steps) / self.warmup)
        done = (progress - self.warmup) / (1 - self.warmup)
        return _between(self.end, base, (1 + math.cos(math.pi * done)) / 2)


class Step(Schedule):
    """The optimiser's ``lr`` times ``factor`` at each of some points.

    Args:
        optimizer: Its ``lr`` is where the schedule starts.
        total_steps: Iterations of the whole training.
        at_shares: The points, as shares of the training; by default ABPN's, which halves at
            epochs 120, 240, 360 and 480 of 600.
        factor: What each point multiplies by.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        at_shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        factor: float = 0.5,
    ) -> None:
        for share in at_shares:
            _check_share("at_shares", share)
        self.at_shares, self.factor = tuple(at_shares), factor
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        return base * self.factor ** sum(progress >= share for share in self.at_shares)


class Constant(Schedule):
    """The optimiser's ``lr`` throughout."""

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        return base


def _between(first: float, second: float, share: float) -> float:
    return first * (1 - share) + second * share


def _check_share(name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise UserError(
            f"scheduler.{name}={share} is a share of the training: at least 0 and less than 1."
        )
