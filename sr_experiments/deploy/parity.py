"""How far apart two 8-bit pictures are that ought to be the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Parity:
    """Distance of two pictures.

    Attributes:
        equal: Share of the values that are equal.
        within_one: Share that is at most one level apart.
        largest: Largest difference in levels.
        psnr: Of one against the other in dB; infinite where they are equal.
    """

    equal: float
    within_one: float
    largest: int
    psnr: float


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Parity:
    """Compare two pictures of one shape.

    Raises:
        ValueError: If their shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ")
    distance = np.abs(first.astype(np.int16) - second.astype(np.int16))
    error = float(np.square(distance, dtype=np.float64).mean())
    return Parity(
        equal=float((distance == 0).mean()),
        within_one=float((distance <= 1).mean()),
        largest=int(distance.max()),
        psnr=10 * math.log10(255**2 / error) if error else math.inf,
    )
