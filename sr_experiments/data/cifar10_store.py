"""CIFAR-10 (Krizhevsky, 2009) read from where it is, and packed once into one file of bytes.

It is had in two forms: the Python batches that torchvision downloads, and a zip of JPEGs in
class folders (``train/cat/0001.jpg``). The zip's pictures lie class by class, so they are
shuffled by a fixed seed: the first n of them are then a fair sample, as they are in the batches.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sr_experiments.errors import UserError

__all__ = ["CLASSES", "SIZE", "find_cifar10", "packed_cifar10", "read_part"]

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIZE = 32
PARTS = ("train", "test")
BATCHES = "cifar-10-batches-py"
ZIP = "cifar10_jpg.zip"
FORMAT = "1"  # of the packed file
ORDER_SEED = 10
MEMBER = re.compile(r"(?P<part>train|test)/(?P<label>\w+)/(?P<name>[^/]+)\.(jpg|jpeg|png)")


def find_cifar10(root: Path | None, data_dir: Path | None, cache_dir: Path) -> Path:
    """The folder that holds torchvision's batches, or the zip of JPEGs.

    Args:
        root: Where the user says it is: either of them, or a folder that holds one.
        data_dir: The user's data folder; it and its ``cifar10/`` are searched.
        cache_dir: Its ``datasets/`` is searched last.

    Raises:
        UserError: It is in none of these places; with how to get it.
    """
    if root is not None:
        places = [root]
    else:
        folders = [data_dir] if data_dir is not None else []
        places = [*folders, *(folder / "cifar10" for folder in folders), cache_dir / "datasets"]
    for place in places:
        if place.is_file() and place.suffix == ".zip":
            return place
        if place.name == BATCHES and place.is_dir():
            return place
        for inside in (place / BATCHES, place / ZIP):
            if inside.exists():
                return inside
    where = "".join(f"\n    {place}" for place in places)
    raise UserError(
        f"CIFAR-10 is not here\n  wanted: {BATCHES}/ or {ZIP}, in one of{where}\n"
        "  get it with: python -c \"import torchvision; torchvision.datasets.CIFAR10('.', "
        'download=True)"\n'
        "  and name the folder: data.root=... or paths.data_dir=... (or SR_DATA_DIR)"
    )


def packed_cifar10(source: Path, cache_dir: Path) -> Path:
    """The packed form of ``source``, from the cache when it has not changed.

    Returns:
        A safetensors file with ``<part>_images``, (N, 3, 32, 32) uint8, and ``<part>_labels``,
        (N,) int64, for ``train`` and ``test``.

    Raises:
        UserError: A file is damaged, or the cache cannot be written.
    """
    stat = (source / "data_batch_1" if source.is_dir() else source).stat()
    words = f"{FORMAT} {source.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    key = hashlib.sha256(words.encode()).hexdigest()[:24]
    path = cache_dir / "packed" / f"{key}-cifar10.safetensors"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.is_file():
                    _pack(source, path)
        except OSError as error:
            raise UserError(
                f"{path.parent} cannot be written ({error}); name another folder with "
                "paths.cache_dir=... (or SR_CACHE_DIR)"
            ) from error
    return path


def read_part(path: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images and labels of one part of a packed file, see `packed_cifar10`."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(f"{part}_images"), file.get_tensor(f"{part}_labels")


def _pack(source: Path, path: Path) -> None:
    tensors = {}
    for part in PARTS:
        images, labels = (_batches if source.is_dir() else _zipped)(source, part)
        tensors[f"{part}_images"] = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        tensors[f"{part}_labels"] = torch.from_numpy(labels)
    temporary = path.with_name(f".{path.name}")
    save_file(tensors, temporary)
    temporary.replace(path)


def _batches(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10

    try:  # torchvision compares checksums before it unpickles anything
        found = CIFAR10(str(folder.parent), train=part == "train")
    except (RuntimeError, OSError) as error:
        raise UserError(f"{folder} is damaged or not complete ({error}); unpack it anew") from error
    return found.data, np.asarray(found.targets, dtype=np.int64)


def _zipped(file: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    members = sorted(_members(file, part))
    if not members:
        raise UserError(f"{file} holds no {part}/<class>/<name>.jpg")
    order = np.random.Generator(np.random.PCG64(ORDER_SEED)).permutation(len(members))
    images = np.empty((len(members), SIZE, SIZE, 3), dtype=np.uint8)
    labels = np.empty(len(members), dtype=np.int64)
    with zipfile.ZipFile(file) as archive:
        for place, index in enumerate(order):
            name, label = members[index]
            images[place], labels[place] = _decoded(archive, file, name), label
    return images, labels


def _members(file: Path, part: str) -> Iterator[tuple[str, int]]:
    """Name and class of every picture of one part."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{file} is no zip file, or a damaged one ({error}); get it again"
        ) from error
    for name in names:
        match = MEMBER.search(name)
        if match is None or match["part"] != part:
            continue
        if match["label"] not in CLASSES:
            raise UserError(f"{file}: {name} is of no class of CIFAR-10 ({', '.join(CLASSES)})")
        yield name, CLASSES.index(match["label"])


def _decoded(archive: zipfile.ZipFile, file: Path, name: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(archive.read(name))) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: {name} cannot be decoded ({error}); get it again") from error
    if pixels.shape != (SIZE, SIZE, 3):
        raise UserError(f"{file}: {name} has {pixels.shape[1]}x{pixels.shape[0]} pixels, not 32x32")
    return pixels
