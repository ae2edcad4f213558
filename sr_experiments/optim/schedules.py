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

NO_STEP = 1e-9  # share of a training that is no whole step of any; more than rounding errs by


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
    """XLSR's triangle (paper, 4.2; Smith's cyclical rates, arXiv:1506.01186).

    Two ramps: up to ``peak`` in the first hundredth of the training, then down. The three
    values are absolute, so the optimiser's own ``lr`` is not used. With ``ramps=cosine`` it is
    the one-cycle policy (Smith and Topin, arXiv:1708.07120) as torch's ``OneCycleLR`` has it.

    Args:
        optimizer: All its groups get the same learning rate, times their ``rate`` if they have
            one.
        total_steps: Iterations of the whole training.
        start: Learning rate of the first iteration, and of the first of each cycle.
        peak: Highest learning rate.
        end: Learning rate at the end of each cycle.
        peak_at: Where the peak lies, as a share of the cycle: 50 of the paper's 5000 epochs.
        ramps: ``linear``, or ``cosine`` for half a cosine each.
        cycles: How often the triangle is run through.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        start: float = 5e-5,
        peak: float = 25e-4,
        end: float = 1e-4,
        peak_at: float = 0.01,
        ramps: str = "linear",
        cycles: int = 1,
    ) -> None:
        _check_share("peak_at", peak_at)
        if ramps not in ("linear", "cosine"):
            raise UserError(f"scheduler.ramps={ramps} is neither linear nor cosine")
        if cycles < 1:
            raise UserError(f"scheduler.cycles={cycles} must be at least 1")
        self.start, self.peak, self.end, self.peak_at = start, peak, end, peak_at
        self.ramps, self.cycles = ramps, cycles
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        done = progress * self.cycles % 1 if progress < 1 else 1.0
        if done < self.peak_at:
            return self._ramp(self.start, self.peak, done / self.peak_at)
        return self._ramp(self.peak, self.end, (done - self.peak_at) / (1 - self.peak_at))

    def get_lr(self) -> list[float | Tensor]:
        """The triangle, times the ``rate`` of each group."""
        rates = [group.get("rate", 1.0) for group in self.optimizer.param_groups]
        return [value * rate for value, rate in zip(super().get_lr(), rates, strict=True)]

    def _ramp(self, first: float, last: float, share: float) -> float:
        return _between(first, last, share if self.ramps == "linear" else _half_cosine(share))


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
            return base * _warming(progress, self.warmup, self.total_steps)
        done = (progress - self.warmup) / (1 - self.warmup)
        return _between(base, self.end, _half_cosine(done))


class Step(Schedule):
    """The optimiser's ``lr`` times ``factor`` at each of some points.

    The points are a list or a period. They are shares of the training, or count in any unit of
    which it has ``of``: ``every=50 of=220`` is "every 50 epochs of 220".

    Args:
        optimizer: Its ``lr`` is where the schedule starts.
        total_steps: Iterations of the whole training.
        at_shares: The points; by default ABPN's, which halves at epochs 120, 240, 360 and 480
            of 600.
        factor: What each point multiplies by.
        factors: One factor for each point, in place of ``factor``.
        every: The distance between points, in place of ``at_shares``.
        of: The whole training in the unit of the points.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        at_shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        factor: float = 0.5,
        factors: Sequence[float] | None = None,
        every: float | None = None,
        of: float = 1.0,
    ) -> None:
        if not of > 0:
            raise UserError(f"scheduler.of={of} must be above 0")
        if every is None:
            self.points = [point / of for point in at_shares]
            for share in self.points:
                _check_share("at_shares", share)
        elif 0 < every < of:
            multiples = (count * every / of for count in range(1, math.ceil(of / every) + 1))
            self.points = [share for share in multiples if share + NO_STEP < 1]
        else:
            raise UserError(
                f"scheduler.every={every} must be above 0 and below scheduler.of={of}, the "
                "whole training in the same unit"
            )
        self.factors = [factor] * len(self.points) if factors is None else list(factors)
        if len(self.factors) != len(self.points):
            raise UserError(
                f"scheduler.factors has {len(self.factors)} values, and the schedule "
                f"{len(self.points)} points: give one for each"
            )
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        passed = [
            factor
            for point, factor in zip(self.points, self.factors, strict=True)
            if progress + NO_STEP >= point
        ]
        return base * math.prod(passed)


class Exponential(Schedule):
    """The optimiser's ``lr`` times ``rate ** (step / decay_steps)`` (Keras's ``ExponentialDecay``).

    Args:
        optimizer: Its ``lr`` is where the schedule starts.
        total_steps: Iterations of the whole training.
        rate: What ``decay_steps`` iterations multiply by.
        decay_steps: Iterations, whatever the length of the training: it may be stopped early.
            None is the whole training.
        staircase: Only after whole ``decay_steps``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        rate: float = 0.96,
        decay_steps: int | None = 100,
        staircase: bool = False,
    ) -> None:
        if not 0 < rate <= 1:
            raise UserError(f"scheduler.rate={rate} is not above 0 and at most 1")
        if decay_steps is not None and decay_steps < 1:
            raise UserError(f"scheduler.decay_steps={decay_steps} is below 1")
        self.rate, self.staircase = rate, staircase
        self.decay_steps = total_steps if decay_steps is None else decay_steps
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        exponent = progress * self.total_steps / self.decay_steps
        if self.staircase:
            exponent = math.floor(exponent + NO_STEP)
        return float(base * self.rate**exponent)


class Constant(Schedule):
    """The optimiser's ``lr`` throughout, after a linear warm-up.

    Args:
        optimizer: Its ``lr`` is what is kept.
        total_steps: Iterations of the whole training.
        warmup: Share of the training over which the learning rate rises from zero.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.0) -> None:
        _check_share("warmup", warmup)
        self.warmup = warmup
        super().__init__(optimizer, total_steps)

    def at(self, progress: float, base: float) -> float:
        """See the class."""
        if progress < self.warmup:
            return base * _warming(progress, self.warmup, self.total_steps)
        return base


def _warming(progress: float, warmup: float, total_steps: int) -> float:
    # One step ahead, so that the first iteration already moves.
    return min(1.0, (progress + 1 / total_steps) / warmup)


def _half_cosine(share: float) -> float:
    """From 0 to 1 with flat ends."""
    return (1 - math.cos(math.pi * share)) / 2


def _between(first: float, second: float, share: float) -> float:
    return first * (1 - share) + second * share


def _check_share(name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise UserError(
            f"scheduler.{name}: {share} is a share of the training, at least 0 and less than 1"
        )
