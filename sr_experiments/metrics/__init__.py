"""Image quality of one picture at a time, and a classifier's scores on a set.

The name of a metric states its protocol.
"""

from sr_experiments.metrics.classification import CLASSIFICATION_METRICS, classification_scores
from sr_experiments.metrics.psnr import psnr_rgb, psnr_y
from sr_experiments.metrics.score import score_bicubic, score_image
from sr_experiments.metrics.ssim import ssim_rgb, ssim_y

__all__ = [
    "CLASSIFICATION_METRICS",
    "classification_scores",
    "psnr_rgb",
    "psnr_y",
    "score_bicubic",
    "score_image",
    "ssim_rgb",
    "ssim_y",
]
