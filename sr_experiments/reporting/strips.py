"""Strips of pictures that show what a network, and then INT8, did to a photo."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CAPTION_HEIGHT = 22
GAP = 4
BACKGROUND = (250, 250, 250)
INK = (20, 20, 20)


def error_map(prediction: Tensor, target: Tensor, gain: float = 8.0) -> Tensor:
    """Absolute error per channel times ``gain``, inverted: white is no error; (3, H, W) uint8."""
    difference = (prediction.to(torch.int16) - target.to(torch.int16)).abs().float()
    return (255 - (difference * gain).clamp(0, 255)).to(torch.uint8)


def busiest_crop(image: Tensor, size: int, step: int) -> tuple[int, int]:
    """Top left corner, a multiple of ``step``, of the crop with the most detail.

    Args:
        image: (3, H, W) uint8.
        size: Height and width of the crop; cut to the image's.
        step: Grid of the corner, the scale, so that the low-res image has the same crop.
    """
    grey = image.float().mean(0)
    detail = torch.zeros_like(grey)
    detail[1:, 1:] = (grey[1:, 1:] - grey[:-1, 1:]).abs() + (grey[1:, 1:] - grey[1:, :-1]).abs()
    height, width = min(size, grey.shape[0]), min(size, grey.shape[1])
    pooled = torch.nn.functional.avg_pool2d(detail[None, None], (height, width), stride=step)[0, 0]
    row, column = divmod(int(pooled.argmax()), pooled.shape[1])
    return row * step, column * step


def common_size(low_res: Tensor, high_res: Tensor, scale: int) -> tuple[int, int]:
    """Height and width that an enlarged picture has in common with its original.

    Args:
        low_res: (3, H, W).
        high_res: (3, H', W'); more than ``scale`` times that, or less where it was cut.
        scale: Enlargement.
    """
    height, width = (
        min(side * scale, known)
        for side, known in zip(low_res.shape[1:], high_res.shape[1:], strict=True)
    )
    return height, width


def strip(panels: Mapping[str, Tensor], size: int = 256) -> Image.Image:
    """Panels side by side at one size, each under its caption.

    Args:
        panels: Caption to (3, H, W) uint8; smaller ones are enlarged pixel by pixel, so that
            a low-res panel shows its real pixels.
        size: Height and width of a panel.
    """
    count = len(panels)
    canvas = Image.new("RGB", (count * size + (count - 1) * GAP, size + CAPTION_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    for index, (caption, panel) in enumerate(panels.items()):
        left = index * (size + GAP)
        picture = Image.fromarray(to_pixels(panel)).resize((size, size), Image.Resampling.NEAREST)
        canvas.paste(picture, (left, CAPTION_HEIGHT))
        draw.text((left + 2, 3), caption, INK, font)
    return canvas


def comparison_strip(
    low_res: Tensor,
    high_res: Tensor,
    predictions: Mapping[str, Tensor],
    scale: int,
    size: int = 132,
) -> Image.Image:
    """The strip of one image: low-res, predictions, original and the last prediction's error.

    Args:
        low_res: (3, h, w) uint8.
        high_res: (3, scale * h, scale * w) uint8.
        predictions: Caption to prediction, (3, scale * h, scale * w) uint8.
        scale: Enlargement.
        size: Side of the crop, in high-res pixels, cut to the image's; shown twice as large.
    """
    size = min(size, high_res.shape[1], high_res.shape[2]) // scale * scale
    y, x = busiest_crop(high_res, size, scale)
    window = (slice(None), slice(y, y + size), slice(x, x + size))
    small = (
        slice(None),
        slice(y // scale, (y + size) // scale),
        slice(x // scale, (x + size) // scale),
    )
    last = list(predictions)[-1]
    panels = {
        "low-res": low_res[small],
        **{caption: picture[window] for caption, picture in predictions.items()},
        "original": high_res[window],
        f"{last.split()[0]} error x8": error_map(predictions[last][window], high_res[window]),
    }
    return strip(panels, 2 * size)


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) uint8 as (H, W, 3)."""
    array: NDArray[np.uint8] = image.permute(1, 2, 0).contiguous().cpu().numpy()
    return array
