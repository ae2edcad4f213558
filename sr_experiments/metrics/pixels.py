"""The 8-bit pictures that every metric compares.

A metric is of the picture that a viewer gets: rounded to 8 bits, its border cut, and luma
rounded once more, which is what MATLAB's ``rgb2ycbcr`` does to ``uint8`` and what the
published numbers were measured on.
"""

import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.colour import rgb_to_y


def pixels_rgb(image: Tensor, border: int) -> Tensor:
    """The picture in 8 bits without its border.

    Args:
        image: (3, H, W) in 0..255; floating point is rounded half up and clipped.
        border: Pixels to cut off on each side.

    Returns:
        (3, H - 2 * border, W - 2 * border) uint8.

    Raises:
        UserError: The shape is another, or the border leaves nothing.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise UserError(f"A metric takes one picture (3, H, W), not {tuple(image.shape)}.")
    height, width = image.shape[1:]
    if min(height, width) <= 2 * border:
        raise UserError(
            f"A picture of {height}x{width} pixels has nothing left to measure when {border} are "
            "cut off on each side: use a larger one."
        )
    return round_to_uint8(image[:, border : height - border, border : width - border])


def pixels_y(image: Tensor, border: int) -> Tensor:
    """As ``pixels_rgb``, but BT.601 luma in 16..235: (1, H', W') uint8."""
    # Exact luma is a multiple of 1 / 255,000, so this only mends halves that arithmetic missed.
    return round_to_uint8(rgb_to_y(pixels_rgb(image, border)) + 1e-7)


def same_size(prediction: Tensor, target: Tensor) -> None:
    """Refuse to compare pictures of different size."""
    if prediction.shape != target.shape:
        raise UserError(
            f"The prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}: "
            "only pictures of one size can be compared."
        )


def round_to_uint8(image: Tensor) -> Tensor:
    """An image of any shape in 0..255 as 8 bits: rounded half up and clipped."""
    if image.dtype == torch.uint8:
        return image
    return image.add(0.5).floor_().clamp_(0, 255).to(torch.uint8)
