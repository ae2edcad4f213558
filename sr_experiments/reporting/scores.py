"""Scores of one network on one set: per image and mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

Predictor = Callable[[Tensor], Tensor]
LABELS = {"fp32": "FP32", "int8": "INT8", "fp16": "FP16", "fp16_cuda": "FP16 on the GPU"}
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
