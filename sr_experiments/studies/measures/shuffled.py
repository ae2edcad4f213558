"""Random numbers in place of a measure: what the study shows of batches that differ in nothing."""

import numpy as np
import torch
from torch import Tensor

from sr_experiments.studies.measures.base import Measure

__all__ = ["Shuffled"]


class Shuffled(Measure):
    """A control: no property of the pictures decides their order.

    Args:
        seed: Of the order.
    """

    title = "random order (control)"
    ends = ("first drawn", "last drawn")

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self._random = np.random.Generator(np.random.PCG64(seed))

    def begin(self, pictures: Tensor) -> None:
        """Start again from the seed."""
        self._random = np.random.Generator(np.random.PCG64(self.seed))

    def __call__(self, pictures: Tensor) -> Tensor:
        """See `Measure`."""
        return torch.from_numpy(self._random.random(len(pictures)))
