"""Picture files with all that belongs to a picture: alpha, orientation, colour profile.

No torch here: enlarging by LiteRT must fit beside a large photo in little memory.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from sr_experiments.errors import UserError
from sr_experiments.files import UNFINISHED
from sr_experiments.functional.image_files import SIXTEEN_BIT, exif_of, opened

JPEG_OPTIONS: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
WRITERS: dict[str, dict[str, Any]] = {
    # Three times as fast as the default of 6, for a file a twentieth larger.
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": JPEG_OPTIONS,
    ".jpeg": JPEG_OPTIONS,
    ".webp": {"format": "WEBP", "lossless": True},
}
LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # pixels, by the formats' own headers
GREY = ("1", "L", "LA", "La", *SIXTEEN_BIT)

# What of EXIF stays true of an enlarged picture: who, when, where, with what.
KEPT_TAGS = (270, 271, 272, 305, 306, 315, 33432)
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
STALE_TAGS = (0xA002, 0xA003, 0xA005, 0x927C)  # width, height, interoperability, maker's offsets


@dataclass
class Picture:
    """One still image, upright, ready to be enlarged.

    Attributes:
        rgb: (H, W, 3).
        alpha: Transparency, of mode ``L`` and the size of ``rgb``; None where opaque.
        grey: The file had no colour, so the enlarged one is to have none.
        icc: Colour profile of the pixels.
        exif: Descriptive tags, without orientation.
    """

    rgb: NDArray[np.uint8]
    alpha: Image.Image | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)


def read_picture(path: Path) -> Picture:
    """Decode a file; EXIF orientation is applied to the pixels.

    16 bits keep their upper 8. CMYK is brought to sRGB through its profile.

    Raises:
        UserError: Naming the file, when it is absent, broken, moving, of 32 bits per channel,
            or so large that it must be a decompression bomb.
    """
    with opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # phones store a preview as a second frame
            raise UserError(
                f"{path}: has {frames} frames; enlarge a single one, or make it a video (.mp4)"
            )
        if image.mode in ("I", "F", "LAB"):
            raise UserError(f"{path}: pixels of kind {image.mode}; convert it to 8 or 16 bits RGB")
        image.load()
        icc = image.info.get("icc_profile")
        readable = len(exif_of(image)) > 0
        upright = ImageOps.exif_transpose(image) if readable else image
        exif = _descriptive(exif_of(upright))
        return _split(upright, icc, exif)


def _split(image: Image.Image, icc: bytes | None, exif: Image.Exif) -> Picture:
    grey = image.mode in GREY
    if image.mode in SIXTEEN_BIT:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "CMYK":
        image, icc = _cmyk_to_rgb(image, icc), None
    alpha = None
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if icc is not None and icc[16:20] != (b"GRAY" if grey else b"RGB "):
        icc = None  # a profile of another colour space would tint the picture
    return Picture(np.asarray(image.convert("RGB")), alpha, grey, icc, exif)


def _cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    if icc is not None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: as if there were none
    return image.convert("RGB")


def _descriptive(source: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag in KEPT_TAGS:
        if tag in source:
            kept[tag] = source[tag]
    for ifd in (EXIF_IFD, GPS_IFD):
        tags = {key: value for key, value in source.get_ifd(ifd).items() if key not in STALE_TAGS}
        if tags:
            kept.get_ifd(ifd).update(tags)
    return kept


class Canvas:
    """The enlarged picture, filled tile by tile so that it is in memory only once.

    Args:
        picture: What is enlarged.
        scale: Enlargement.
        path: Where it will go; its suffix is the format.

    Raises:
        UserError: The format cannot hold the picture.
    """

    def __init__(self, picture: Picture, scale: int, path: Path) -> None:
        height, width, _ = picture.rgb.shape
        self.size = (width * scale, height * scale)
        self.path = path
        self.picture = picture
        self.options = _writer(path, self.size, picture.alpha is not None)
        mode = "L" if picture.grey else "RGB"
        self.image = Image.new(mode + "A" * (picture.alpha is not None), self.size)

    def paste(self, y: int, x: int, tile: NDArray[np.uint8]) -> None:
        """Put a finished tile, (h, w, 3), where it belongs, in enlarged pixels."""
        part = Image.fromarray(tile)
        self.image.paste(part.convert("L") if self.picture.grey else part, (x, y))

    def save(self) -> None:
        """Write the file in one piece.

        Raises:
            UserError: The file cannot be written.
        """
        if self.picture.alpha is not None:
            bicubic = Image.Resampling.BICUBIC
            self.image.putalpha(self.picture.alpha.resize(self.size, bicubic))
        extra: dict[str, Any] = {}
        if self.picture.icc is not None:
            extra["icc_profile"] = self.picture.icc
        if len(self.picture.exif) or self.picture.exif.get_ifd(GPS_IFD):
            extra["exif"] = self.picture.exif
        temporary = self.path.with_name(f".{self.path.name}{UNFINISHED}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.image.save(temporary, **self.options, **extra)
            temporary.replace(self.path)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path} cannot be written: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)


def _writer(path: Path, size: tuple[int, int], transparent: bool) -> dict[str, Any]:
    options = WRITERS.get(path.suffix.lower())
    if options is None:
        raise UserError(
            f"{path}: cannot write {path.suffix or 'no suffix'}; use {', '.join(WRITERS)}"
        )
    name = options["format"]
    if transparent and name == "JPEG":
        raise UserError(f"{path}: JPEG cannot hold the picture's transparency; use .png or .webp")
    if max(size) > LARGEST_SIDE.get(name, max(size)):
        raise UserError(
            f"{path}: {size[0]}x{size[1]} pixels are more than {name} holds "
            f"({LARGEST_SIDE[name]} a side); use .png"
        )
    return options
