"""Opening image files with errors that name them; imports no torch."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from sr_experiments.errors import UserError

__all__ = ["SIXTEEN_BIT", "SUFFIXES", "exif_of", "opened"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif"})
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of grey


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image whose header is read; whatever goes wrong inside names the file.

    Raises:
        UserError: The file is absent, empty, no image, broken, or a decompression bomb.
    """
    try:
        # What Pillow warns of (odd EXIF, a large picture) is either handled or refused here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                yield image
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path}: refused, too large to be a photo; cut it into parts ({error})"
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError) as error:
        reason = "it is empty" if path.is_file() and path.stat().st_size == 0 else str(error)
        raise UserError(
            f"{path}: cannot be read as an image ({reason}); save it anew, or remove it"
        ) from error


def exif_of(image: Image.Image) -> Image.Exif:
    """EXIF of an image; empty where it is damaged, which is no reason to refuse the pixels."""
    try:
        return image.getexif()
    except (OSError, SyntaxError, ValueError, struct.error):
        return Image.Exif()
