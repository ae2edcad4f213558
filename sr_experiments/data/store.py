"""Images decoded once, into one memory-mapped file of bytes.

The file is safetensors: no pickle, and any tool can read it. It is written straight to disk
while the images are decoded one after another, so neither packing nor reading needs memory
that grows with the set: a reader maps the file, and the system drops its pages at will.
Pixels are interleaved (height, width, 3), image after image; a high-res image is cropped to
exactly ``scale`` times its low-res one.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sr_experiments.data.finding import ImageFile
from sr_experiments.data.images import image_size, load_image
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale

__all__ = ["HighRes", "PackedImages", "Pair", "Pairs", "low_res_size", "pack", "packed"]

FORMAT = "2"  # of the packed file; a new one makes every set be packed again
NO_DIGEST = "0" * 64  # as long as one: it is known last, and the header comes first
HEADER = struct.Struct("<Q")  # safetensors: length of the JSON that follows

Progress = Callable[[int, int], None]  # images done, images in all
Pair = tuple[str, Tensor, Tensor]


class PackedImages:
    """A packed set, mapped into memory.

    Args:
        path: A file that `pack` wrote.

    Attributes:
        path: Of the file.
        names: Of the images.
        scale: High-res height and width by low-res.
        sizes: (N, 2) int64, low-res height and width.
        offsets: (N, 2) int64, first byte of each image in ``low`` and in ``high``.
        low: All low-res pixels, flat uint8.
        high: All high-res pixels, flat uint8.
        digest: SHA-256 of names, sizes and pixels, from when they were packed.

    Raises:
        UserError: The file is not a packed set.
    """

    def __init__(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                index: Tensor = file.get_tensor("index")
                self.low: Tensor = file.get_tensor("low")
                self.high: Tensor = file.get_tensor("high")
            self.names: list[str] = json.loads(metadata["names"])
            self.scale = int(metadata["scale"])
            self.digest: str = metadata["digest"]
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise UserError(f"{path} is no packed set of images ({error}); delete it") from error
        self.path = path
        self.sizes, self.offsets = index[:, :2].clone(), index[:, 2:].clone()

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the file; where it is gone by now, the pixels are sent."""
        values = {"low": self.low.numpy(), "high": self.high.numpy()}
        gone = not self.path.is_file()
        return self.__dict__ | {name: value if gone else None for name, value in values.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["low"] is None:
            mapped = PackedImages(self.path)
            self.low, self.high = mapped.low, mapped.high
        else:
            self.low, self.high = (torch.from_numpy(state[name]) for name in ("low", "high"))

    def __len__(self) -> int:
        return len(self.names)

    def low_res(self, index: int) -> Tensor:
        """Copy of a low-res image, (3, H, W) uint8."""
        height, width = self.sizes[index].tolist()
        return _image(self.low, int(self.offsets[index, 0]), height, width)

    def high_res(self, index: int) -> Tensor:
        """Copy of a high-res image, (3, scale * H, scale * W) uint8."""
        height, width = (self.sizes[index] * self.scale).tolist()
        return _image(self.high, int(self.offsets[index, 1]), height, width)


class Pairs(Sequence[Pair]):
    """The images of a packed set as ``(name, low_res, high_res)``, read when asked for."""

    def __init__(self, images: PackedImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        images = self.images
        return images.names[index], images.low_res(index), images.high_res(index)


class HighRes(Sequence[Tensor]):
    """High-res images of a packed set, read when asked for.

    Args:
        images: The set.
        indices: Which of them.
    """

    def __init__(self, images: PackedImages, indices: Sequence[int]) -> None:
        self.images = images
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self.images.high_res(position) for position in self.indices[index]]
        return self.images.high_res(self.indices[index])


def _image(flat: Tensor, start: int, height: int, width: int) -> Tensor:
    pixels = flat[start : start + 3 * height * width].view(height, width, 3)
    return pixels.permute(2, 0, 1).contiguous()


def packed(
    files: Sequence[ImageFile], scale: int, cache_dir: Path, progress: Progress | None = None
) -> PackedImages:
    """The packed form of ``files``, from the cache when they have not changed.

    Args:
        files: Images of the set, in order.
        scale: High-res height and width by low-res.
        cache_dir: Holds the packed sets, in ``packed/``.
        progress: Called with the images done and all.

    Raises:
        UserError: An image cannot be used, or the cache cannot be written.
    """
    try:
        key = _content_key(files, scale)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is gone: was the set changed just now?") from error
    path = cache_dir / "packed" / f"{key}-x{scale}.safetensors"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.is_file():  # another process may have packed it meanwhile
                    pack(files, scale, path, progress)
        except OSError as error:
            raise UserError(
                f"{path.parent} cannot be written ({error}); name another folder with "
                "paths.cache_dir=... (or SR_CACHE_DIR)"
            ) from error
    return PackedImages(path)


def _content_key(files: Sequence[ImageFile], scale: int) -> str:
    """Hash of what decides a packed file's content, without reading the images."""
    digest = hashlib.sha256(f"{FORMAT} {scale}".encode())
    for file in files:
        for path in (file.path, file.low_res.get(scale)):
            if path is None:
                continue
            stat = path.stat()
            entry = (file.name, str(path.resolve()), stat.st_size, stat.st_mtime_ns)
            digest.update(repr(entry).encode())
    return digest.hexdigest()[:24]


def low_res_size(file: ImageFile, scale: int) -> tuple[int, int]:
    """Height and width of an image's low-res form, from the files' headers.

    Raises:
        UserError: A file is unreadable, or the low-res one that the set brings is not a
            ``scale``-th of the high-res one.
    """
    height, width = image_size(file.path)
    brought = file.low_res.get(scale)
    if brought is None:
        return height // scale, width // scale
    low = image_size(brought)
    if any(
        abs(size * scale - full) >= scale for size, full in zip(low, (height, width), strict=True)
    ):
        raise UserError(
            f"{brought} ({low[1]}x{low[0]}) is not {file.path} ({width}x{height}) at 1/{scale}"
        )
    return min(low[0], height // scale), min(low[1], width // scale)


def pack(
    files: Sequence[ImageFile], scale: int, path: Path, progress: Progress | None = None
) -> None:
    """Decode images and write them to ``path``, which appears only when it is complete.

    Equal files give equal bytes.

    Args:
        files: Images of the set, in order.
        scale: High-res height and width by low-res.
        path: Destination.
        progress: Called with the images done and all.

    Raises:
        UserError: An image is unreadable or smaller than ``scale``, or the disk is full.
    """
    sizes = [low_res_size(file, scale) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if min(size) < 1:
            raise UserError(f"{file.path} is smaller than scale={scale}; remove it")
    areas = torch.tensor([3 * height * width for height, width in sizes], dtype=torch.int64)
    ends = areas.cumsum(0)
    offsets = torch.stack([ends - areas, (ends - areas) * scale**2], dim=1)
    index = torch.cat([torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2), offsets], dim=1)
    low_bytes = int(areas.sum())
    names = [file.name for file in files]
    header = _header(names, scale, low_bytes, NO_DIGEST)
    start = len(header) + index.numel() * 8
    total = start + low_bytes * (1 + scale**2)
    if shutil.disk_usage(path.parent).free < total:
        raise UserError(
            f"{path.parent} has too little space: packing {len(files)} images takes "
            f"{total / 1e9:.1f} GB; name another folder with paths.cache_dir=..."
        )
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as out:
            out.write(header)
            out.write(index.numpy().tobytes())
            digest = hashlib.sha256(header + index.numpy().tobytes())
            out.truncate(total)
            for position, file in enumerate(files):
                low_res, high_res = _pair(file, scale, sizes[position])
                low_start, high_start = offsets[position].tolist()
                for place, image in (
                    (start + low_start, low_res),
                    (start + low_bytes + high_start, high_res),
                ):
                    pixels = image.permute(1, 2, 0).contiguous().numpy().data
                    out.seek(place)
                    out.write(pixels)
                    digest.update(pixels)
                if progress is not None:
                    progress(position + 1, len(files))
            out.seek(0)
            out.write(_header(names, scale, low_bytes, digest.hexdigest()))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _pair(file: ImageFile, scale: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    height, width = size
    high_res = load_image(file.path)[:, : height * scale, : width * scale]
    brought = file.low_res.get(scale)
    low_res = downscale(high_res, scale) if brought is None else load_image(brought)
    low_res = low_res[:, :height, :width]
    if high_res.shape[-2:] != (height * scale, width * scale) or low_res.shape[-2:] != size:
        raise UserError(f"{file.path} is not as large as its header says; save it anew")
    return low_res, high_res


def _header(names: Sequence[str], scale: int, low_bytes: int, digest: str) -> bytes:
    entries: dict[str, object] = {
        "__metadata__": {
            "format": FORMAT,
            "names": json.dumps(list(names)),
            "scale": str(scale),
            "digest": digest,
        }
    }
    start = 0
    for key, dtype, shape, length in (
        ("index", "I64", [len(names), 4], 32 * len(names)),
        ("low", "U8", [low_bytes], low_bytes),
        ("high", "U8", [low_bytes * scale**2], low_bytes * scale**2),
    ):
        entries[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + length]}
        start += length
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # safetensors asks for aligned tensors
    return HEADER.pack(len(text)) + text
