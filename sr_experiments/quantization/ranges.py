"""Which range of values an INT8 tensor covers, chosen from what calibration images make of it.

A wide range clips nothing and rounds coarsely; a narrow one the other way round. Each observer is
a small description; ``watch()`` gives the accumulator of one tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sr_experiments.errors import UserError

# Values kept of each image and tensor by the observers that look at the distribution.
SAMPLE = 16384
LEVELS = 255  # steps between the lowest level and the highest
LEAST_PROBABILITY = 1e-9  # of what a narrow range cannot say at all


class Watcher(Protocol):
    """Accumulates the values of one tensor."""

    def see(self, values: Tensor) -> None:
        """Take in the tensor that one image made, any shape."""

    def range(self) -> tuple[float, float]:
        """Lowest and highest value worth covering."""


class Observer(Protocol):
    """A rule for ranges."""

    def watch(self) -> Watcher:
        """Start on a tensor."""


@dataclass(frozen=True)
class MinMax:
    """Everything that was seen: nothing is clipped."""

    def watch(self) -> Watcher:
        """Start on a tensor."""
        return _Extremes(None)


@dataclass(frozen=True)
class MovingAverage:
    """Minimum and maximum of an image, averaged over the images with decaying weight.

    Attributes:
        decay: Share of the old average that is kept at every image.
    """

    decay: float = 0.9

    def watch(self) -> Watcher:
        """Start on a tensor."""
        return _Extremes(self.decay)


@dataclass(frozen=True)
class Percentile:
    """Leaves out the most extreme values on either side.

    Attributes:
        percent: Share of the values, in percent, that lies below the upper end (and above the
            lower end).
    """

    percent: float = 99.99

    def __post_init__(self) -> None:
        if not 50 < self.percent < 100:
            raise UserError(f"percent={self.percent} must be between 50 and 100")

    def watch(self) -> Watcher:
        """Start on a tensor."""
        return _Percentiles(self.percent)


@dataclass(frozen=True)
class LeastSquares:
    """The range whose rounding and clipping together cost least in mean squared error.

    Attributes:
        candidates: Shrunken versions of [minimum, maximum] that are tried.
        narrowest: The smallest of them, as a share of the whole.
    """

    candidates: int = 48
    narrowest: float = 0.3

    def watch(self) -> Watcher:
        """Start on a tensor."""
        return _LeastSquares(self)


@dataclass(frozen=True)
class Entropy:
    """The range whose rounding loses least information about the distribution.

    As TensorRT calibrates (Migacz, 2017): the Kullback-Leibler divergence of the histogram at
    int8 from the whole histogram, with what is clipped at the ends. Ours shrinks both ends
    alike, for activations with a sign, too.

    Attributes:
        candidates: Shrunken versions of [minimum, maximum] that are tried.
        narrowest: The smallest of them, as a share of the whole.
        bins: Of the histogram.
    """

    candidates: int = 48
    narrowest: float = 0.3
    bins: int = 4096

    def watch(self) -> Watcher:
        """Start on a tensor."""
        return _Entropy(self)


OBSERVERS: dict[str, type[Observer]] = {
    "minmax": MinMax,
    "moving_average": MovingAverage,
    "percentile": Percentile,
    "mse": LeastSquares,
    "entropy": Entropy,
}


def observer_of(choice: str | Observer) -> Observer:
    """The observer that a name stands for, with its defaults; an observer stands for itself.

    Raises:
        UserError: If there is none of that name.
    """
    if not isinstance(choice, str):
        return choice
    if choice not in OBSERVERS:
        raise UserError(
            f"quantization.observer={choice} is unknown; choose one of {', '.join(OBSERVERS)}"
        )
    return OBSERVERS[choice]()


class _Extremes:
    def __init__(self, decay: float | None) -> None:
        self.decay = decay
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def see(self, values: Tensor) -> None:
        low, high = torch.aminmax(values)
        if self.low is None or self.high is None:
            self.low, self.high = low, high
        elif self.decay is None:
            self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        else:
            self.low = torch.lerp(low, self.low, self.decay)
            self.high = torch.lerp(high, self.high, self.decay)

    def range(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return float(self.low), float(self.high)


class _Sample:
    """Evenly spread values of every image."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []

    def see(self, values: Tensor) -> None:
        flat = values.flatten()
        self.parts.append(flat[:: max(1, len(flat) // SAMPLE)].clone())


class _Percentiles(_Sample):
    def __init__(self, percent: float) -> None:
        super().__init__()
        self.percent = percent

    def range(self) -> tuple[float, float]:
        values = torch.cat(self.parts).sort().values
        tail = int((1 - self.percent / 100) * len(values))
        return float(values[tail]), float(values[len(values) - 1 - tail])


class _Shrinking(_Sample):
    """Tries shrunken versions of the whole range."""

    def __init__(self, rule: LeastSquares | Entropy) -> None:
        super().__init__()
        self.rule = rule
        self.extremes = _Extremes(None)

    def see(self, values: Tensor) -> None:
        super().see(values)
        self.extremes.see(values)

    def range(self) -> tuple[float, float]:
        values = torch.cat(self.parts)
        low, high = self.extremes.range()
        cost = self.cost(values, min(low, 0.0), max(high, 0.0))
        best = low, high, float("inf")
        for share in torch.linspace(1, self.rule.narrowest, self.rule.candidates).tolist():
            ends = min(low * share, 0.0), max(high * share, 0.0)
            found = cost(*ends)
            if found < best[2]:
                best = *ends, found
        return best[:2]

    def cost(self, values: Tensor, low: float, high: float) -> Callable[[float, float], float]:
        """What a range costs, of values that lie in ``[low, high]``."""
        raise NotImplementedError


class _LeastSquares(_Shrinking):
    def cost(self, values: Tensor, low: float, high: float) -> Callable[[float, float], float]:
        def squared_error(low: float, high: float) -> float:
            step = (high - low) / LEVELS or 1.0
            rounded = values.div(step).round_().mul_(step).clamp_(low, high)
            return float((values - rounded).square_().mean())

        return squared_error


class _Entropy(_Shrinking):
    rule: Entropy

    def cost(self, values: Tensor, low: float, high: float) -> Callable[[float, float], float]:
        bins = self.rule.bins
        width = (high - low) / bins or 1.0
        counts = torch.histc(values.float(), bins, low, high).double().cpu()

        def divergence(narrow_low: float, narrow_high: float) -> float:
            start = round((narrow_low - low) / width)
            stop = max(start + 1, round((narrow_high - low) / width))
            inside = counts[start:stop]
            level = torch.arange(len(inside)) * LEVELS // len(inside)
            total = torch.zeros(LEVELS, dtype=counts.dtype).index_add(0, level, inside)
            filled = torch.zeros_like(total).index_add(0, level, (inside > 0).to(counts.dtype))
            rounded = torch.where(inside > 0, (total / filled.clamp(min=1))[level], 0.0)
            wanted = inside.clone()
            wanted[0] += counts[:start].sum()
            wanted[-1] += counts[stop:].sum()
            wanted, rounded = wanted / wanted.sum(), rounded / rounded.sum().clamp(min=1)
            some = wanted > 0
            ratio = wanted[some] / rounded[some].clamp(min=LEAST_PROBABILITY)
            return float((wanted[some] * ratio.log()).sum())

        return divergence
