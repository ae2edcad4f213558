"""What a matrix of distances says, phase by phase, and of the mini-batch paper's findings.

Distances shrink and grow during a training, for all batches together. So each epoch's are divided
by their mean first: 1 is an average batch, 0.9 one that is a tenth closer to the full gradient.
The profile of a phase is the mean over its epochs. Whether a group of batches is closer than
groups of the same size drawn at random from the same profile, is asked of 10,000 such draws.

The paper shows pictures and no numbers. What "upper quartile", "extremes" and "the middle 80
percent" (its section 5) mean is taken literally: the highest quarter of the batches, and a tenth
at either end.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Agreement", "Finding", "PhaseProfile", "agreement", "findings", "profiles", "spearman"]

DRAWS = 10_000
SURE = 0.05  # a share of draws below which a group is called closer or farther
EXTREME = 0.1  # share of the batches at either end
FAVOURS_HIGH = ("Intensity", "LPIPS", "FeatureDistance")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PhaseProfile:
    """One phase's distances, relative to each epoch's mean.

    Attributes:
        phase: From 1.
        epochs: First and last, from 1.
        mean: Mean distance before dividing.
        relative: Of each batch.
        quartiles: Mean of each quarter of the batches, lowest metric first.
        low: Mean of the lowest tenth.
        middle: Of what is between the ends.
        high: Of the highest tenth.
        rank_correlation: Spearman's, of the batch's place with its distance.
        quarter_correlation: Spearman's, of the quarter that a batch is in with its distance.
        high_quarter_closer: Share of random groups that are at least as close as the highest
            quarter.
        ends_closer: The same of both ends together.
        ends_farther: Share that is at least as far as both ends together.
    """

    phase: int
    epochs: tuple[int, int]
    mean: float
    relative: list[float]
    quartiles: list[float]
    low: float
    middle: float
    high: float
    rank_correlation: float
    quarter_correlation: float
    high_quarter_closer: float
    ends_closer: float
    ends_farther: float

    def summary(self) -> dict[str, Any]:
        """Its numbers, without the batches one by one."""
        return {key: value for key, value in asdict(self).items() if key != "relative"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the paper, and what these distances say of it.

    Attributes:
        claim: In our words.
        verdict: ``supported``, ``in part`` or ``not supported``.
        numbers: What the verdict rests on.
    """

    claim: str
    verdict: str
    numbers: str


@dataclass(frozen=True)
class Agreement:
    """How well sketched distances stand for exact ones, in one phase.

    Attributes:
        phase: From 1.
        batches: Of an epoch.
        epochs: That are compared.
        error: Mean relative error of a distance.
        worst: The largest.
        rank_correlation: Spearman's within an epoch, mean over the epochs.
        worst_rank_correlation: The smallest.
    """

    phase: int
    batches: int
    epochs: int
    error: float
    worst: float
    rank_correlation: float
    worst_rank_correlation: float


def profiles(distances: Tensor, phases: Sequence[int]) -> list[PhaseProfile]:
    """The phases of a matrix.

    Args:
        distances: (epochs, batches), batches in the metric's order, at least four.
        phases: Phase of each epoch, from 0.
    """
    matrix = distances.double().numpy()
    found = []
    for phase in sorted(set(phases)):
        rows = [epoch for epoch, of in enumerate(phases) if of == phase]
        part = matrix[rows]
        relative = (part / part.mean(1, keepdims=True)).mean(0)
        found.append(_profile(phase, (rows[0] + 1, rows[-1] + 1), float(part.mean()), relative))
    return found


def spearman(first: Array, second: Array) -> float:
    """Rank correlation; 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (first, second)]
    if min(np.ptp(values) for values in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def agreement(exact: Tensor, sketch: Tensor, phases: Sequence[int]) -> list[Agreement]:
    """Compare two matrices of the same run, (epochs, batches) each."""
    found = []
    for phase in sorted(set(phases)):
        rows = [epoch for epoch, of in enumerate(phases) if of == phase]
        true, seen = exact[rows].numpy(), sketch[rows].numpy()
        errors = np.abs(seen / true - 1)
        ranks = [spearman(a, b) for a, b in zip(true, seen, strict=True)]
        found.append(
            Agreement(
                phase=phase + 1,
                batches=true.shape[1],
                epochs=len(rows),
                error=float(errors.mean()),
                worst=float(errors.max()),
                rank_correlation=float(np.mean(ranks)),
                worst_rank_correlation=min(ranks),
            )
        )
    return found


def findings(metric: str, phases: Sequence[PhaseProfile]) -> list[Finding]:
    """The paper's statements about one metric, judged.

    Args:
        metric: Name of the measure's class.
        phases: Of the whole training.
    """
    first, later = phases[0], phases[1:]
    found = []
    if metric in FAVOURS_HIGH:
        closest = first.quartiles[3] == min(first.quartiles)
        found.append(
            Finding(
                "phase 1: batches of the highest quarter are closest to the full gradient",
                _verdict([closest, first.high_quarter_closer < SURE]),
                "quarters "
                + ", ".join(f"{value:.3f}" for value in first.quartiles)
                + f"; random groups as close: {first.high_quarter_closer:.3f}",
            )
        )
    elif metric == "MeanColour":
        found.append(
            Finding(
                "phase 1: batches of both ends are close to the full gradient",
                _verdict(
                    [first.low < first.middle, first.high < first.middle, first.ends_closer < SURE]
                ),
                f"{_ends(first)}; random groups as close: {first.ends_closer:.3f}",
            )
        )
    elif metric == "Edges":
        found.append(_far_ends(first))
    found += [_far_ends(phase) for phase in later]
    return found


def _far_ends(phase: PhaseProfile) -> Finding:
    return Finding(
        f"phase {phase.phase}: batches of both ends are far from the full gradient",
        _verdict([phase.low > phase.middle, phase.high > phase.middle, phase.ends_farther < SURE]),
        f"{_ends(phase)}; random groups as far: {phase.ends_farther:.3f}",
    )


def _ends(phase: PhaseProfile) -> str:
    return f"low end {phase.low:.3f}, middle {phase.middle:.3f}, high end {phase.high:.3f}"


def _verdict(conditions: Sequence[bool]) -> str:
    if all(conditions):
        return "supported"
    return "in part" if any(conditions) else "not supported"


def _profile(phase: int, epochs: tuple[int, int], mean: float, relative: Array) -> PhaseProfile:
    count = len(relative)
    tail = max(1, round(EXTREME * count))
    ends = np.concatenate([relative[:tail], relative[-tail:]])
    quarters = np.array_split(relative, 4)
    quarter = np.repeat(np.arange(4.0), [len(part) for part in quarters])
    high = quarters[3]
    random = np.random.Generator(np.random.PCG64(1))
    return PhaseProfile(
        phase=phase + 1,
        epochs=epochs,
        mean=mean,
        relative=relative.tolist(),
        quartiles=[float(part.mean()) for part in quarters],
        low=float(relative[:tail].mean()),
        middle=float(relative[tail:-tail].mean()) if count > 2 * tail else float(relative.mean()),
        high=float(relative[-tail:].mean()),
        rank_correlation=spearman(np.arange(count, dtype=float), relative),
        quarter_correlation=spearman(quarter, relative),
        high_quarter_closer=_share(relative, len(high), high.mean(), random, closer=True),
        ends_closer=_share(relative, len(ends), ends.mean(), random, closer=True),
        ends_farther=_share(relative, len(ends), ends.mean(), random, closer=False),
    )


def _share(
    values: Array, size: int, observed: float, random: np.random.Generator, *, closer: bool
) -> float:
    """Share of random groups whose mean is at most, or at least, the observed one."""
    draws = random.permuted(np.tile(values, (DRAWS, 1)), axis=1)[:, :size].mean(1)
    beyond = draws <= observed + 1e-12 if closer else draws >= observed - 1e-12
    return float((beyond.sum() + 1) / (DRAWS + 1))
