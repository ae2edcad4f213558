"""Score a network on sets of images: per image and mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from sr_experiments.functional.resize import upscale
from sr_experiments.metrics import score_image

Pair = tuple[str, Tensor, Tensor]
Predictor = Callable[[Tensor], Tensor]
METRICS = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")


@dataclass(frozen=True)
class SetScore:
    """Scores of one network on one set.

    Attributes:
        images: Metrics by image name.
    """

    images: Mapping[str, Mapping[str, float]]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over images of each metric, the average that the field prints."""
        return {
            metric: fmean(scores[metric] for scores in self.images.values()) for metric in METRICS
        }


def score_set(predict: Predictor, pairs: Sequence[Pair], scale: int) -> SetScore:
    """Run ``predict`` on every low-res image and compare with the original.

    Args:
        predict: (3, h, w) uint8 to (3, scale * h, scale * w) uint8.
        pairs: Name, low-res and high-res image, (3, H, W) uint8.
        scale: Also the border that is cut before scoring.
    """
    return SetScore(
        {name: score_image(predict(low_res), high_res, scale) for name, low_res, high_res in pairs}
    )


def bicubic(scale: int) -> Predictor:
    """MATLAB's bicubic enlargement as a predictor: the row every table starts with."""
    return lambda low_res: upscale(low_res, scale)
