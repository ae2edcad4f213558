"""Image quality of one picture at a time; the name of a metric states its protocol."""

from sr_experiments.metrics.psnr import psnr_rgb, psnr_y
from sr_experiments.metrics.score import score_bicubic, score_image
from sr_experiments.metrics.ssim import ssim_rgb, ssim_y

__all__ = ["psnr_rgb", "psnr_y", "score_bicubic", "score_image", "ssim_rgb", "ssim_y"]
