"""Networks whose values are solved for from images, not found by gradient steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor

from sr_experiments.models.base import SRModel


class FittedModel(SRModel, ABC):
    """A network that `fit` fills; until then it predicts what its constructor left in it.

    Its values are parameters that need no gradient, so they are counted and saved as others are.
    """

    trainable: ClassVar[bool] = False

    @abstractmethod
    def fit(
        self,
        images: Sequence[Tensor],
        *,
        seed: int = 1,
        share: float = 1.0,
        say: Callable[[str], None] = print,
    ) -> None:
        """Learn from photos, in place; equal images and seed give equal values.

        Args:
            images: (3, H, W) uint8 at high resolution, read one after another.
            seed: Of everything that is drawn.
            share: Factor on the amount of training samples, as ``budget`` shortens training.
            say: Told in a line what was done.

        Raises:
            UserError: The images hold too few samples for the options.
        """
