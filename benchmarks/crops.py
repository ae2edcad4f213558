"""The random crops of the loops that people write, which the benchmarks compare with."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def decode(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def turned_crops(
    low: NDArray[np.uint8],
    high: NDArray[np.uint8],
    patch: int,
    scale: int,
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """A random crop of both: (3, patch, patch) and (3, scale * patch, scale * patch), turned."""
    row, column = (int(random.integers(side - patch + 1)) for side in low.shape[:2])
    flipped, mirrored, transposed = random.integers(2, size=3)
    crops = []
    for image, times in ((low, 1), (high, scale)):
        rows, columns = (slice(at * times, (at + patch) * times) for at in (row, column))
        crop = image[rows, columns]
        crop = crop[::-1] if flipped else crop
        crop = crop[:, ::-1] if mirrored else crop
        crop = crop.transpose(1, 0, 2) if transposed else crop
        crops.append(torch.from_numpy(crop.transpose(2, 0, 1).copy()))
    return crops[0], crops[1]
