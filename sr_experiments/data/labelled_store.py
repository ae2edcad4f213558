"""Labelled pictures of one size, decoded and resized once, in memory-mapped files of bytes.

The files are safetensors, as in ``data.store``: ``pixels`` (N, size, size, 3) and ``labels``
(N,). A set is one file, or shards of some pictures each, as the TFRecord files of the glasses
paper hold 450; shards can be copied and read apart. The paper's records hold encoded pictures,
ours bytes: a third larger, and nothing to decode.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sr_experiments.data.images import load_image
from sr_experiments.data.labels import NAMED, LabelledFile
from sr_experiments.errors import UserError

__all__ = [
    "LabelledImages",
    "Progress",
    "load_square",
    "packed_labelled",
    "refuse_unreadable",
    "square",
]

FORMAT = "2"  # of the packed files; a new one makes every set be packed again
NO_DIGEST = "0" * 64  # as long as one: it is known last, and the header comes first
HEADER = struct.Struct("<Q")  # safetensors: length of the JSON that follows

Progress = Callable[[int, int], None]  # pictures done, pictures in all


def square(image: Tensor, size: int) -> Tensor:
    """The middle square of a picture, (3, H, W) uint8, as (3, size, size).

    Bicubic with antialiasing; a picture of that size stays as it is.
    """
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[:, top : top + side, left : left + side]
    if side == size:
        return image
    return F.interpolate(image[None], (size, size), mode="bicubic", antialias=True)[0]


def load_square(path: Path, size: int) -> Tensor:
    """Decode a file and take its `square`.

    Raises:
        UserError: Naming the file, when it is absent or no image.
    """
    return square(load_image(path), size)


def refuse_unreadable(files: Sequence[LabelledFile], read: Callable[[Path], object]) -> None:
    """Read every file, so that one error tells all that are broken.

    Args:
        files: Pictures of a set.
        read: Raises a UserError of a file that it cannot read.

    Raises:
        UserError: Some are unreadable; the first ones are named, all of them counted.
    """
    reasons = []
    for file in files:
        try:
            read(file.path)
        except UserError as error:
            reasons.append(str(error).splitlines()[0])
    if len(reasons) == 1:
        raise UserError(reasons[0])
    if reasons:
        more = f"\n  and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
        shown = "".join(f"\n  {reason}" for reason in reasons[:NAMED])
        raise UserError(f"{len(reasons)} pictures cannot be read:{shown}{more}")


class LabelledImages:
    """A packed set, mapped into memory.

    Args:
        paths: The files that `packed_labelled` wrote, in order.

    Attributes:
        names: Of the pictures.
        labels: (N,) int64.
        bytes: Size of the files.
        digest: SHA-256 of names, labels and pixels, from when they were packed.

    Raises:
        UserError: A file is not a packed set.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.names: list[str] = []
        self.shards: list[Tensor] = []
        labels, digest = [], hashlib.sha256()
        for path in paths:
            try:
                with safe_open(path, framework="pt") as file:
                    metadata = file.metadata() or {}
                    self.names += json.loads(metadata["names"])
                    digest.update(metadata["digest"].encode())
                    self.shards.append(file.get_tensor("pixels"))
                    labels.append(file.get_tensor("labels"))
            except (SafetensorError, KeyError, OSError) as error:
                raise UserError(f"{path} is no packed set ({error}); delete it") from error
        self.digest = digest.hexdigest()
        self.labels = torch.cat(labels).clone()
        self.bytes = sum(path.stat().st_size for path in paths)
        counts = torch.tensor([len(shard) for shard in self.shards])
        self._starts = counts.cumsum(0) - counts

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, indices: Tensor) -> Tensor:
        """Copies of pictures, (n, 3, size, size) uint8, on the device that holds the set."""
        if len(self.shards) == 1:
            rows = self.shards[0][indices.to(self.shards[0].device)]
        else:
            place = torch.searchsorted(self._starts, indices, right=True) - 1
            rows = torch.stack(
                [
                    self.shards[shard][row]
                    for shard, row in zip(
                        place.tolist(), (indices - self._starts[place]).tolist(), strict=True
                    )
                ]
            )
        return rows.permute(0, 3, 1, 2)

    def to(self, device: torch.device | str) -> "LabelledImages":
        """Hold all pixels on a device; those of the mapped files where it is the CPU."""
        if torch.device(device).type != "cpu":
            self.shards = [torch.cat(self.shards).to(device)]
        return self


def packed_labelled(
    files: Sequence[LabelledFile],
    size: int,
    cache_dir: Path,
    shard: int | None = None,
    progress: Progress | None = None,
) -> LabelledImages:
    """The packed form of ``files``, from the cache when they have not changed.

    Args:
        files: Pictures of the set, in order.
        size: Height and width.
        cache_dir: Holds the packed sets, in ``packed/``.
        shard: Pictures per file; None: all in one.
        progress: Called with the pictures done and all.

    Raises:
        UserError: Pictures are unreadable, which are named, or the cache cannot be written.
    """
    step = shard or len(files)
    chunks = [files[start : start + step] for start in range(0, len(files), step)]
    folder = cache_dir / "packed"
    paths = [folder / f"{_content_key(chunk, size)}-{size}px.safetensors" for chunk in chunks]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (path, chunk) in enumerate(zip(paths, chunks, strict=True)):
            if not path.is_file():
                with FileLock(path.with_suffix(".lock")):
                    if not path.is_file():  # another process may have packed it meanwhile
                        _pack(chunk, size, path, _later(progress, number * step, len(files)))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error}); name another folder with "
            "paths.cache_dir=... (or SR_CACHE_DIR)"
        ) from error
    return LabelledImages(paths)


def _later(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)


def _content_key(files: Sequence[LabelledFile], size: int) -> str:
    """Hash of what decides a packed file's content, without reading the pictures."""
    digest = hashlib.sha256(f"labelled {FORMAT} {size}".encode())
    for file in files:
        stat = file.path.stat()
        entry = (file.name, str(file.path.resolve()), file.label, stat.st_size, stat.st_mtime_ns)
        digest.update(repr(entry).encode())
    return digest.hexdigest()[:24]


def _pack(files: Sequence[LabelledFile], size: int, path: Path, progress: Progress | None) -> None:
    names = [file.name for file in files]
    header = _header(names, size, NO_DIGEST)
    total = len(header) + len(files) * (8 + 3 * size**2)
    if shutil.disk_usage(path.parent).free < total:
        raise UserError(
            f"{path.parent} has too little space: packing {len(files)} pictures takes "
            f"{total / 1e9:.2f} GB; name another folder with paths.cache_dir=..."
        )
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as out:
            digest = hashlib.sha256()
            for piece in _pieces(header, files, size, progress):
                out.write(piece)
                digest.update(piece)
            out.seek(0)
            out.write(_header(names, size, digest.hexdigest()))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _pieces(
    header: bytes, files: Sequence[LabelledFile], size: int, progress: Progress | None
) -> Iterator[bytes]:
    yield header
    yield torch.tensor([file.label for file in files], dtype=torch.int64).numpy().tobytes()
    for done, file in enumerate(files, start=1):
        try:
            pixels = load_square(file.path, size)
        except UserError:  # some others may be broken too
            refuse_unreadable(files[done - 1 :], load_image)
            raise
        yield pixels.permute(1, 2, 0).contiguous().numpy().tobytes()
        if progress is not None:
            progress(done, len(files))


def _header(names: Sequence[str], size: int, digest: str) -> bytes:
    entries: dict[str, object] = {
        "__metadata__": {"format": FORMAT, "names": json.dumps(names), "digest": digest}
    }
    count, start = len(names), 0
    for key, dtype, shape, length in (
        ("labels", "I64", [count], 8 * count),
        ("pixels", "U8", [count, size, size, 3], count * 3 * size**2),
    ):
        entries[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + length]}
        start += length
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # safetensors asks for aligned tensors
    return HEADER.pack(len(text)) + text
