from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.studies.gradients import (
    Exact,
    Sketch,
    gradient_of,
    stored_bytes,
)

BATCHES, LENGTH = 60, 30_000


@pytest.fixture(scope="module")
def gradients() -> torch.Tensor:
    """(60, 30,000): a common direction, and more or less of another for each batch."""
    random = torch.Generator().manual_seed(0)
    common = torch.randn(LENGTH, generator=random)
    own = torch.randn(BATCHES, LENGTH, generator=random)
    scale = torch.linspace(0.5, 1.5, BATCHES)[torch.randperm(BATCHES, generator=random)]
    layers = torch.ones(LENGTH)
    layers[:300] = 20  # a layer whose gradients are large, as they are in networks
    return (common + scale[:, None] * own) * layers


def wanted(gradients: torch.Tensor) -> np.ndarray:
    values = gradients.numpy().astype(np.float64)
    return np.linalg.norm(values - values.mean(0), axis=1)


def test_exact_distances_are_those_of_numpy_and_the_file_is_gone(
    gradients: torch.Tensor, tmp_path: Path
) -> None:
    store = Exact(BATCHES, LENGTH, tmp_path / "gradients")
    for _ in range(2):  # a second epoch starts afresh
        store.start()
        for place in reversed(range(BATCHES)):
            store.add(place, gradients[place].split(7001))
        assert (tmp_path / "gradients" / "gradients.f32").stat().st_size == store.bytes
        np.testing.assert_allclose(store.distances(), wanted(gradients), rtol=1e-6)
        assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_said_before_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"GiB of gradients an epoch.*task\.distances=sketch"):
        Exact(10**6, 10**9, tmp_path / "gradients").check()
    Exact(10, 1000, tmp_path / "gradients").check()


def test_a_sketch_keeps_distances_and_their_order(gradients: torch.Tensor) -> None:
    store = Sketch(BATCHES, LENGTH, size=4096)
    store.start()
    for place in range(BATCHES):
        store.add(place, gradients[place].split(7001))
    found, true = store.distances().numpy(), wanted(gradients)
    errors = found / true - 1
    # Half the relative deviation of the square, at most sqrt(2 / size).
    assert np.abs(errors).mean() < np.sqrt(2 / 4096) / 2
    assert spearmanr(found, true).statistic > 0.99


def test_squared_lengths_are_right_on_average_with_the_spread_that_theory_gives() -> None:
    vector = torch.randn(5000, generator=torch.Generator().manual_seed(1))
    true = float(vector.square().sum())
    ratios = [
        float(Sketch(1, 5000, size=256, seed=seed).project([vector]).square().sum()) / true
        for seed in range(300)
    ]
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.sqrt(2 / 256 / 300))
    assert np.std(ratios) == pytest.approx(np.sqrt(2 / 256), rel=0.2)


def test_a_sketch_is_linear_and_the_same_for_the_same_seed() -> None:
    first, second = torch.randn(2, 1000, generator=torch.Generator().manual_seed(2))
    store = Sketch(1, 1000, size=64, seed=3)
    torch.testing.assert_close(
        store.project([first + 2 * second]), store.project([first]) + 2 * store.project([second])
    )
    again = Sketch(1, 1000, size=64, seed=3).project(first.split(100))
    torch.testing.assert_close(again, store.project([first]))
    assert not torch.allclose(Sketch(1, 1000, size=64, seed=4).project([first]), again)


def test_the_papers_cache_is_24_9_gib_and_the_sketch_of_it_below_100_mib() -> None:
    parameters = 34_236_634
    assert stored_bytes(195, parameters) / 2**30 == pytest.approx(24.9, abs=0.05)
    assert stored_bytes(1, parameters) / 2**20 == pytest.approx(130.6, abs=0.05)
    sketch = Sketch(195, parameters)  # the default size
    assert sketch.bytes / 2**20 == pytest.approx(12.2, abs=0.05)
    assert sketch.bytes * 2000 < stored_bytes(195, parameters)


def test_a_gradient_has_all_parameters_in_order_and_zeros_where_none_came() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1, bias=False))
    network[0].bias.requires_grad_(False)
    network[0](torch.tensor([3.0, 4.0])).backward()
    assert torch.cat(gradient_of(network)).tolist() == [3.0, 4.0, 0.0]


def test_a_sketch_of_one_cell_is_refused() -> None:
    with pytest.raises(UserError, match="sketch_size=1"):
        Sketch(1, 10, size=1)
