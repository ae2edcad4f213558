"""Whether unpacked pictures are those that are known, whatever file format holds them.

For an archive without a published checksum, which may be packed anew. What counts is the pixels, so
a set that was converted without loss is still the same one.
"""

import hashlib
from pathlib import Path

from sr_experiments.data.images import SUFFIXES, load_image
from sr_experiments.data.sources import Archive
from sr_experiments.errors import UserError

__all__ = ["UnknownPicturesError", "check_pictures", "pictures_digest"]


class UnknownPicturesError(UserError):
    """An archive holds other pictures than it should."""


def check_pictures(archive: Archive, folder: Path) -> None:
    """Compare what was unpacked with what is known of it, if anything is.

    Raises:
        UnknownPicturesError: A picture is another one, broken, missing or too many.
    """
    if archive.pictures is None:
        return
    try:
        digest = pictures_digest(folder)
    except UserError as error:
        digest = str(error)
    if digest != archive.pictures:
        raise UnknownPicturesError(
            f"{archive.url} is refused: its pictures are not those that are known\n"
            f"  sha256 of their pixels: {archive.pictures} is wanted, not {digest}\n"
            "  it is deleted; try again later, or put the set from elsewhere into paths.data_dir "
            "(or SR_DATA_DIR), where it is taken as it is"
        )


def pictures_digest(folder: Path) -> str:
    """SHA-256 of the sorted SHA-256 of each picture below a folder: of its size and RGB pixels.

    Neither names nor formats matter, and files that are no pictures by name are passed over.

    Raises:
        UserError: A picture cannot be read.
    """
    each = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            pixels = load_image(path).permute(1, 2, 0).contiguous().numpy()
            each.append(hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest())
    return hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()
