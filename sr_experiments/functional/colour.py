"""Colour spaces in which the field measures."""

from torch import Tensor

__all__ = ["rgb_to_y"]

# ITU-R BT.601 in 8-bit studio swing, as MATLAB's rgb2ycbcr: black is 16 and white 235.
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
BLACK = 16.0


def rgb_to_y(image: Tensor) -> Tensor:
    """Luma of an RGB image, in 16..235 and not rounded.

    Args:
        image: (..., 3, H, W) in 0..255; integers are computed in double precision.

    Returns:
        (..., 1, H, W), floating point.

    Raises:
        ValueError: The image does not have three channels.

    Example:
        >>> import torch
        >>> white = torch.full((3, 1, 1), 255.0)
        >>> round(rgb_to_y(white).item(), 3)
        235.0
    """
    if image.shape[-3] != 3:
        raise ValueError(f"rgb_to_y takes (..., 3, H, W), not {tuple(image.shape)}")
    if not image.dtype.is_floating_point:
        image = image.double()
    red, green, blue = image.unbind(dim=-3)
    luma = BLACK + LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return luma.unsqueeze(-3)
