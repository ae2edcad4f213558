import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from sr_experiments.studies.analysis import agreement, findings, profiles, spearman


def matrix(*shapes: np.ndarray) -> torch.Tensor:
    """An epoch of each shape, at very different levels."""
    return torch.stack([torch.from_numpy(shape) * 10**level for level, shape in enumerate(shapes)])


PLACES = np.arange(40)
FALLING = 2.0 - PLACES / 40
U_SHAPED = 1 + ((PLACES - 19.5) / 19.5) ** 2
HILL = 3 - U_SHAPED
NOISE = 1 + 0.01 * np.random.default_rng(0).standard_normal(40)


def test_a_phase_is_the_mean_of_its_epochs_each_divided_by_its_own_mean() -> None:
    rows = torch.tensor([[1.0, 3, 1, 3], [300, 100, 300, 100], [1, 1, 1, 1]]).double()
    first, second = profiles(rows, [0, 0, 1])
    assert first.relative == [1.0, 1.0, 1.0, 1.0]
    assert (first.phase, first.epochs, first.mean) == (1, (1, 2), 101.0)
    assert second.epochs == (3, 3)


def test_quarters_and_ends_are_means_over_batches() -> None:
    (phase,) = profiles(matrix(FALLING), [0])
    relative = FALLING / FALLING.mean()
    assert phase.quartiles == pytest.approx([relative[a : a + 10].mean() for a in (0, 10, 20, 30)])
    assert (phase.low, phase.high) == pytest.approx((relative[:4].mean(), relative[-4:].mean()))
    assert phase.middle == pytest.approx(relative[4:-4].mean())
    assert phase.rank_correlation == pytest.approx(-1)


def test_rank_correlation_is_that_of_scipy_with_ties() -> None:
    random = np.random.default_rng(1)
    first, second = random.integers(5, size=(2, 30)).astype(float)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert spearman(first, np.ones(30)) == 0


@pytest.mark.parametrize(
    ("metric", "first", "verdict"),
    [
        ("Intensity", FALLING, "supported"),
        ("LPIPS", FALLING, "supported"),
        ("Intensity", FALLING[::-1], "not supported"),
        ("MeanColour", HILL, "supported"),
        ("MeanColour", U_SHAPED, "not supported"),
        ("Edges", U_SHAPED, "supported"),
        ("Edges", FALLING, "in part"),
    ],
)
def test_the_first_phase_is_judged_by_what_the_paper_says_of_each_metric(
    metric: str, first: np.ndarray, verdict: str
) -> None:
    judged = findings(metric, profiles(matrix(first.copy(), U_SHAPED, HILL), [0, 1, 2]))
    assert [one.verdict for one in judged] == [verdict, "supported", "not supported"]


def test_noise_supports_nothing() -> None:
    for metric in ("Intensity", "MeanColour", "Edges"):
        judged = findings(metric, profiles(matrix(NOISE, NOISE, NOISE), [0, 1, 2]))
        assert "supported" not in [one.verdict for one in judged]


def test_the_control_is_judged_in_the_later_phases_only() -> None:
    judged = findings("Shuffled", profiles(matrix(NOISE, NOISE, NOISE), [0, 1, 2]))
    assert [one.claim[:7] for one in judged] == ["phase 2", "phase 3"]


def test_agreement_is_measured_within_epochs() -> None:
    exact = torch.tensor([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    sketch = torch.tensor([[1.1, 1.8, 4.0], [11.0, 44.0, 40.0]])
    (one,) = agreement(exact, sketch, [0, 0])
    assert (one.phase, one.batches, one.epochs) == (1, 3, 2)
    assert one.error == pytest.approx((0.1 + 0.1 + 0 + 0.1 + 1.2 + 0) / 6)
    assert one.worst == pytest.approx(1.2)
    assert one.rank_correlation == pytest.approx((1 + 0.5) / 2)
    assert one.worst_rank_correlation == pytest.approx(0.5)
