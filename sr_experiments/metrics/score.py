"""All the metrics of one picture under the field's protocol."""

from fractions import Fraction

from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale, imresize, upscale
from sr_experiments.metrics.pixels import pixels_y, round_to_uint8
from sr_experiments.metrics.psnr import psnr, psnr_rgb, psnr_y
from sr_experiments.metrics.ssim import ssim, ssim_rgb, ssim_y


def score_image(prediction: Tensor, target: Tensor, scale: int) -> dict[str, float]:
    """PSNR and SSIM, of luma and of RGB, with a border of ``scale`` cut off.

    A target whose sides are no multiples of ``scale`` is cut at the right and bottom to the
    prediction's size, as the field crops before it shrinks (and the prediction to the target's,
    where the small picture was rounded up).

    Args:
        prediction: (3, H, W) in 0..255, uint8 or floating point.
        target: (3, H', W') in 0..255, less than ``scale`` pixels larger or smaller.
        scale: Enlargement.

    Returns:
        ``psnr_y``, ``ssim_y``, ``psnr_rgb`` and ``ssim_rgb``.

    Raises:
        UserError: The sizes do not belong together, or the picture is too small.
    """
    sizes = list(zip(prediction.shape[-2:], target.shape[-2:], strict=True))
    if any(abs(ours - theirs) >= scale for ours, theirs in sizes):
        raise UserError(
            f"The prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}, "
            f"which at x{scale} do not belong to one picture."
        )
    height, width = (min(pair) for pair in sizes)
    prediction = prediction[..., :height, :width]
    target = target[..., :height, :width]
    return {
        metric.__name__: metric(prediction, target, scale)
        for metric in (psnr_y, ssim_y, psnr_rgb, ssim_rgb)
    }


def score_bicubic(high_res: Tensor, scale: int) -> dict[str, float]:
    """The published bicubic row: what every paper's table compares with.

    The luma numbers of the literature (Set5: 33.66 / 30.39 / 28.42 dB) come from rounded luma
    that is shrunk and enlarged in floating point and rounded once at the end. Enlarging the
    8-bit small picture, which is what a network is given, is 0.005 to 0.02 dB below that:
    ``score_image(upscale(low_res, scale), high_res, scale)``. The RGB numbers are of that.

    Args:
        high_res: (3, H, W) in 0..255, cut here to multiples of ``scale``.
        scale: Enlargement.

    Returns:
        The keys of ``score_image``.
    """
    height, width = (side // scale * scale for side in high_res.shape[-2:])
    high_res = round_to_uint8(high_res[..., :height, :width])
    scores = score_image(upscale(downscale(high_res, scale), scale), high_res, scale)
    luma = pixels_y(high_res, 0)
    enlarged = round_to_uint8(imresize(imresize(luma.double(), Fraction(1, scale)), scale))
    inside = (..., slice(scale, -scale), slice(scale, -scale))
    return scores | {
        "psnr_y": psnr(enlarged[inside], luma[inside]),
        "ssim_y": ssim(enlarged[inside], luma[inside]),
    }
