"""M3 of the mini-batch paper (3.2.3): how many edges a picture has, by Canny's detector (1986).

The paper gives neither thresholds nor the blur, nor how colours are joined; these are kornia's
defaults on luma, and options.
"""

from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.studies.measures.base import Measure

__all__ = ["Edges"]


class Edges(Measure):
    """The sum of Canny's edge map, 0 or 255 at each pixel.

    Args:
        low: Of the two thresholds; on the gradient of kornia's Sobel, where a step from black to
            white has 4.
        high: The other.
        sigma: Standard deviation of the blur, in pixels; its kernel is 5x5.

    Raises:
        UserError: The thresholds are not in order.
    """

    title = "edges (Canny)"
    ends = ("fewest edges", "most edges")

    def __init__(self, low: float = 0.1, high: float = 0.2, sigma: float = 1.0) -> None:
        if not 0 < low <= high:
            raise UserError(f"task.metric.low={low} must be above 0 and at most high={high}")
        if not sigma > 0:
            raise UserError(f"task.metric.sigma={sigma} must be above 0")
        self.low, self.high, self.sigma = low, high, sigma

    def __call__(self, pictures: Tensor) -> Tensor:
        """See `Measure`."""
        from kornia.filters import canny

        _, edges = canny(
            pictures.float() / 255, self.low, self.high, (5, 5), (self.sigma, self.sigma)
        )
        total: Tensor = 255 * edges.sum((1, 2, 3)).round().long()
        return total
