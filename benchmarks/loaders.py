"""The loop that people write: a Dataset of files and a DataLoader with workers, written well.

Workers are persistent and prefetch, crops travel as bytes and become floats as a batch. What is
read for a crop differs: its whole photo, a tile of it as BasicSR's recipes save them, or nothing,
because the photos are kept decoded in memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from crops import decode, turned_crops
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sr_experiments.data import SRData, find_images, packed

WORKERS = 2
PREFETCHED = 4  # batches that each worker makes ahead
TILE = 480  # high-res pixels, as BasicSR cuts DIV2K

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class CropsOfFiles(Dataset[tuple[Tensor, Tensor]]):
    """One random crop, turned at random, of a random pair of files, which is read for it."""

    def __init__(self, pairs: list[tuple[Path, Path]], data: SRData, *, keep: bool = False) -> None:
        self.pairs, self.data = pairs, data
        self.kept = [(decode(low), decode(high)) for low, high in pairs] if keep else None

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([self.data.seed, index])
        chosen = int(random.integers(len(self.pairs)))
        low, high = self.kept[chosen] if self.kept else map(decode, self.pairs[chosen])
        return turned_crops(low, high, self.data.patch, self.data.scale, random)


def written(data: SRData, folder: Path, tile: int | None = None) -> list[tuple[Path, Path]]:
    """The training set as PNG files, low-res and high-res.

    Args:
        data: Whose.
        folder: Where.
        tile: Side of the high-res files; None leaves the photos whole.
    """
    folder.mkdir()
    files = [
        file
        for spec in data.train
        for file in find_images(spec, data.data_dir, data.cache_dir, data.root)
    ]
    store = packed(files, data.scale, data.cache_dir)
    pairs = []
    for index in range(len(store)):
        low, high = (
            image.permute(1, 2, 0).numpy()
            for image in (store.low_res(index), store.high_res(index))
        )
        for part in tiles((low, high), data.scale, tile):
            pair = folder / f"{len(pairs)}-low.png", folder / f"{len(pairs)}-high.png"
            for path, image in zip(pair, part, strict=True):
                Image.fromarray(image).save(path)
            pairs.append(pair)
    return pairs


def tiles(pair: Pair, scale: int, tile: int | None) -> Iterator[Pair]:
    """Tiles that cover an image, the last of a row or column flush with its border."""
    low, high = pair
    height, width = low.shape[:2]
    side = max(height, width) if tile is None else tile // scale
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield (
                low[top : top + side, left : left + side],
                high[top * scale : (top + side) * scale, left * scale : (left + side) * scale],
            )


def _starts(length: int, side: int) -> list[int]:
    last = max(length - side, 0)
    return [*range(0, last, side), last]


@contextmanager
def opened(dataset: CropsOfFiles) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Batches as float32 in [0, 1], by workers that end with the block."""
    loader = DataLoader(
        dataset,
        dataset.data.batch_size,
        num_workers=WORKERS,
        persistent_workers=True,
        prefetch_factor=PREFETCHED,
    )
    batches = iter(loader)
    try:
        yield ((low.float().div_(255), high.float().div_(255)) for low, high in batches)
    finally:
        del batches, loader  # nobody else holds the workers
