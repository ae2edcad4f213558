"""Ranges worked out by hand or by NumPy."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from sr_experiments.errors import UserError
from sr_experiments.quantization.ranges import (
    Entropy,
    LeastSquares,
    MinMax,
    MovingAverage,
    Observer,
    Percentile,
    observer_of,
)


def range_of(observer: Observer, *images: torch.Tensor) -> tuple[float, float]:
    watcher = observer.watch()
    for image in images:
        watcher.see(image)
    return watcher.range()


def test_minmax_covers_all_images() -> None:
    images = torch.tensor([[0.0, 1.0], [-3.0, 0.5], [0.2, 2.0]])
    assert range_of(MinMax(), *images) == (-3.0, 2.0)


def test_moving_average_forgets_slowly() -> None:
    images = torch.tensor([[0.0, 1.0], [-1.0, 3.0], [-1.0, 3.0]])
    # 0 -> -0.25 -> -0.4375 and 1 -> 1.5 -> 1.875
    assert range_of(MovingAverage(decay=0.75), *images) == (-0.4375, 1.875)


def test_percentile_agrees_with_numpy_and_leaves_outliers_out() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(8000).astype(np.float32)
    values[:2] = 100, -100
    low, high = range_of(Percentile(99.0), *torch.from_numpy(values).split(4000))
    assert low == pytest.approx(np.percentile(values, 1), abs=0.02)
    assert high == pytest.approx(np.percentile(values, 99), abs=0.02)


def rounding_error(values: torch.Tensor, low: float, high: float) -> float:
    step = (high - low) / 255
    zero = round(-low / step)
    levels = (values / step).round().add(zero).clamp(0, 255)
    return float(((levels - zero) * step - values).square().mean())


def test_least_squares_beats_minmax_where_tails_are_long() -> None:
    laplace = np.random.default_rng(0).laplace(size=400_000).astype(np.float32)
    images = torch.from_numpy(laplace).split(40_000)
    found, whole = range_of(LeastSquares(), *images), range_of(MinMax(), *images)
    values = torch.from_numpy(laplace)
    error = rounding_error(values, *found)
    assert error < 0.9 * rounding_error(values, *whole)
    # No other shrinking of the whole range does much better.
    best = min(
        rounding_error(values, whole[0] * share, whole[1] * share)
        for share in np.linspace(0.3, 1, 50)
    )
    assert error < 1.03 * best


def divergence(values: np.ndarray, low: float, high: float) -> float:
    """Kullback-Leibler divergence of what int8 makes of a histogram, in nats, after SciPy."""
    counts, edges = np.histogram(values, 4096)
    middle = (edges[:-1] + edges[1:]) / 2
    inside = (middle > low) & (middle < high)
    wanted = counts[inside].astype(float)
    made = np.zeros_like(wanted)
    for part in np.array_split(np.arange(len(wanted)), 255):
        filled = wanted[part] > 0
        made[part] = np.where(filled, wanted[part].sum() / max(1, filled.sum()), 0)
    wanted[0] += counts[middle < low].sum()
    wanted[-1] += counts[middle > high].sum()
    return float(entropy(wanted, np.maximum(made, 1e-9 * made.sum())))


def test_entropy_takes_the_range_of_least_divergence() -> None:
    for seed, draw in enumerate(("laplace", "normal")):
        values = getattr(np.random.default_rng(seed), draw)(size=16_000).astype(np.float32)
        low, high = range_of(Entropy(), torch.from_numpy(values))
        whole = float(values.min()), float(values.max())
        shares = np.linspace(0.3, 1, 48)
        costs = [divergence(values, whole[0] * s, whole[1] * s) for s in shares]
        assert divergence(values, low, high) < min(costs) * 1.1 + 1e-3


def test_entropy_leaves_a_lonely_outlier_out() -> None:
    values = np.random.default_rng(0).uniform(size=16_000).astype(np.float32)
    values[0] = 2.5
    low, high = range_of(Entropy(), torch.from_numpy(values))
    assert low == 0
    assert 0.99 < high < 1.2


def test_least_squares_keeps_everything_where_all_values_are_alike() -> None:
    values = torch.linspace(0, 1, 5000)
    low, high = range_of(LeastSquares(), values)
    assert low == 0
    assert high > 0.97


@pytest.mark.parametrize("observer", [Percentile(99.9), LeastSquares(), Entropy()])
def test_large_tensors_are_sampled_evenly(observer: Observer) -> None:
    ramp = torch.linspace(-1, 3, 400_001)
    low, high = range_of(observer, ramp)
    assert low == pytest.approx(-1, abs=0.12)
    assert high == pytest.approx(3, abs=0.12)


def test_names_stand_for_observers() -> None:
    assert observer_of("mse") == LeastSquares()
    assert observer_of("moving_average") == MovingAverage()
    assert observer_of(Percentile(98.0)) == Percentile(98.0)


def test_unknown_name_and_impossible_percentile_are_refused() -> None:
    with pytest.raises(UserError, match="observer=median is unknown; choose one of minmax"):
        observer_of("median")
    with pytest.raises(UserError, match="percent=40"):
        Percentile(40)
