"""M1 of the mini-batch paper (3.2.1): how much light is in a picture."""

from torch import Tensor

from sr_experiments.studies.measures.base import Measure

__all__ = ["Intensity"]


class Intensity(Measure):
    """The sum of all pixel values over height, width and colours, in 8-bit levels."""

    title = "image intensity"
    ends = ("darkest", "brightest")

    def __call__(self, pictures: Tensor) -> Tensor:
        """See `Measure`.

        Example:
            >>> import torch
            >>> Intensity()(torch.full((1, 3, 2, 2), 10, dtype=torch.uint8)).tolist()
            [120]
        """
        return pictures.long().sum((1, 2, 3))
