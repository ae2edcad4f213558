"""Any image file as RGB bytes, or an error that names the file."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.Image import Transpose
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.image_files import SIXTEEN_BIT, SUFFIXES, exif_of, opened

__all__ = ["SUFFIXES", "image_size", "load_image"]

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange height and width
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
UNKNOWN_RANGE = ("I", "F")  # 32 bits per pixel: nothing says what white is


def _orientation(image: Image.Image) -> int:
    """EXIF orientation that is still to be applied, 1 when there is none.

    Pillow turns TIFF files itself. A PNG may carry the tag behind its pixels, where Pillow
    looks only after decoding; such a one is not searched for, so that reading a header stays
    quick and agrees with the picture.
    """
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(exif_of(image).get(ORIENTATION, 1))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from the file's header, as the picture is shown (EXIF applied).

    Raises:
        UserError: Naming the file, when it is absent or no image.
    """
    with opened(path) as image:
        width, height = image.size
        if _orientation(image) in (5, 6, 7, 8):
            return width, height
        return height, width


def load_image(path: Path) -> Tensor:
    """Decode a file to RGB as it is shown.

    Grey becomes three equal channels, 16 bits keep their upper 8, CMYK and palettes are
    converted, alpha is dropped, EXIF orientation is applied, of several frames the first
    is taken.

    Returns:
        (3, H, W) uint8.

    Raises:
        UserError: Naming the file, when it is absent, empty, truncated, no image, of 32 bits
            per channel, or so large that it must be a decompression bomb.
    """
    with opened(path) as image:
        turn = TURNS.get(_orientation(image))
        if image.mode in UNKNOWN_RANGE:
            raise UserError(f"{path}: has 32 bits per pixel; convert it to 8 or 16 bits")
        image.load()
        rgb = _to_rgb(image)
        if turn is not None:
            rgb = rgb.transpose(turn)
        pixels = np.array(rgb)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in SIXTEEN_BIT:
        # Pillow keeps the upper byte of 16-bit colour; grey is to give the same.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
