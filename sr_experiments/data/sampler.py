"""Random crops of a packed set, a whole batch at a time and no pass per image.

One gather copies the rows of all crops of a batch out of the flat pixels, a second turns each
crop by its symmetry of the square. Both run on the device that holds the set.
"""

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from sr_experiments.data.store import PackedImages
from sr_experiments.errors import UserError

__all__ = ["Draw", "PatchSampler", "symmetries"]

CHANNELS = 3
FREE_SHARE = 0.5  # of a device's free memory that a set may take; the rest is for training
_KEPT: WeakValueDictionary[tuple[str, str, str], Tensor] = WeakValueDictionary()
PERMUTATIONS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])


class Draw(NamedTuple):
    """Where the crops of a batch are and what is done to them; N crops.

    Attributes:
        first: (N, 2) first byte of each crop, low-res and high-res.
        row: (N, 2) bytes from a row of it to the next.
        symmetry: (N,) of the square.
        factor: (N,) float32 of a level of 255.
        colours: (N, 3) their order.
    """

    first: Tensor
    row: Tensor
    symmetry: Tensor
    factor: Tensor
    colours: Tensor


class PatchSampler:
    """Batches of aligned crops; batch ``i`` is a pure function of ``seed`` and ``i``.

    Images are drawn with equal probability, whatever their size, and places within an image
    too, as the papers do. Random numbers are drawn on the CPU, so every device gives the same
    batches.

    Args:
        store: The packed set.
        batch_size: Crops per batch.
        patch: Height and width of the low-res crops; the high-res ones are ``scale`` times that.
        seed: Of all batches.
        dihedral: Turn and mirror each crop by one of the 8 symmetries of the square.
        intensity: Factors of which each crop's pixels, low-res and high-res, are multiplied
            by one (XLSR, section 4.2).
        channel_shuffle: Permute the three colours of each crop.
        device: Holds the pixels when they take less than half of its free memory; otherwise
            they stay in the mapped file and the batches are sent there.

    Attributes:
        home: The device that holds the pixels.

    Raises:
        UserError: An image is smaller than the patch.
    """

    def __init__(
        self,
        store: PackedImages,
        batch_size: int,
        patch: int,
        seed: int,
        *,
        dihedral: bool = True,
        intensity: Sequence[float] = (1.0, 0.7, 0.5),
        channel_shuffle: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        smallest = int(store.sizes.amin(dim=1).argmin())
        height, width = store.sizes[smallest].tolist()
        if patch > min(height, width):
            raise UserError(
                f"data.patch={patch} is larger than the image {store.names[smallest]}, which has "
                f"{width}x{height} pixels at 1/{store.scale}; lower data.patch or leave it out"
            )
        self.batch_size, self.patch, self.scale = batch_size, patch, store.scale
        self.seed = seed
        self.dihedral, self.channel_shuffle = dihedral, channel_shuffle
        self.intensity = np.asarray(intensity, dtype=np.float32)
        self.device = torch.device(device)
        self._sizes, self._offsets = store.sizes.numpy(), store.offsets.numpy()
        self.home = self.device if _fits(store, self.device) else torch.device("cpu")
        self._flat = _pixels(store, self.home)
        sides = (patch, patch * self.scale)
        self._turns = tuple(symmetries(size).to(self.home) for size in sides)
        self._rows_of = tuple(torch.arange(size, device=self.home) for size in sides)
        self._crop = torch.arange(batch_size, dtype=torch.int32, device=self.home)

    def __call__(self, iteration: int) -> tuple[Tensor, Tensor]:
        """The batch of one iteration.

        Returns:
            Low-res (batch_size, 3, patch, patch) and high-res (batch_size, 3, scale * patch,
            scale * patch), float32 in [0, 1], in channels-last memory order.
        """
        return self.cut(self.draw(iteration))

    def draw(self, iteration: int) -> Draw:
        """What the batch of one iteration is cut by, on the CPU."""
        random = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.seed % 2**64, iteration]))
        )
        count = self.batch_size
        image = random.integers(len(self._sizes), size=count)
        sizes = self._sizes[image]
        corner = (random.random((count, 2)) * (sizes - self.patch + 1)).astype(np.int64)
        symmetry = random.integers(8, size=count)
        intensity = self.intensity[random.integers(len(self.intensity), size=count)]
        colours = PERMUTATIONS[random.integers(len(PERMUTATIONS), size=count)]
        scales = np.array([1, self.scale])
        width = sizes[:, 1, None] * scales
        first = self._offsets[image] + CHANNELS * scales * (
            corner[:, :1] * scales * sizes[:, 1:] + corner[:, 1:]
        )
        return Draw(
            torch.from_numpy(first),
            torch.from_numpy(CHANNELS * width),
            torch.from_numpy(symmetry),
            torch.from_numpy(intensity / np.float32(255)),
            torch.from_numpy(colours),
        )

    def cut(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """The batch that was drawn, of any number of crops.

        On the device that holds the pixels, where ``draw`` lies on it too, nothing of this waits
        for the CPU.

        Returns:
            As a call.
        """
        draw = Draw(*(values.to(self.home) for values in draw))
        batch = []
        for level in range(len(self._flat)):
            crops = self._turned_crops(draw, level)
            if self.channel_shuffle:
                crops = torch.take_along_dim(crops, draw.colours.view(-1, 1, 1, CHANNELS), dim=3)
            crops = crops.to(self.device).permute(0, 3, 1, 2)
            batch.append(
                crops.to(torch.float32).mul_(draw.factor.to(self.device).view(-1, 1, 1, 1))
            )
        low_res, high_res = batch
        return low_res, high_res

    def _turned_crops(self, draw: Draw, level: int) -> Tensor:
        """The turned crops of one resolution, (N, size, size, 3) uint8, by two gathers."""
        crops = _rows(
            self._flat[level], draw.first[:, level], draw.row[:, level], self._rows_of[level]
        )
        if not self.dihedral:
            return crops
        number = self._crop
        if len(crops) != len(number):  # those of several runs that share the set
            number = torch.arange(len(crops), dtype=torch.int32, device=self.home)
        return _turned(crops, self._turns[level], draw.symmetry, number)


def symmetries(size: int) -> Tensor:
    """The 8 symmetries of a square: (8, size^2) int32, which pixel each pixel comes from.

    Example:
        >>> symmetries(2)[:4].tolist()  # as it is, upside down, mirrored, turned by 180 degrees
        [[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]]
    """
    upright = torch.arange(size**2, dtype=torch.int32).view(size, size)
    flips = [upright, upright.flip(0), upright.flip(1), upright.flip(0, 1)]
    return torch.stack([*flips, *(flip.T for flip in flips)]).flatten(1)


def _fits(store: PackedImages, device: torch.device) -> bool:
    if device.type != "cuda":
        return device.type == "cpu"
    free, _ = torch.cuda.mem_get_info(device)
    return store.low.numel() + store.high.numel() < FREE_SHARE * free


def _pixels(store: PackedImages, home: torch.device) -> tuple[Tensor, Tensor]:
    """All pixels on a device, low-res and high-res: once, however many runs of a process."""
    pixels = []
    for level, values in (("low", store.low), ("high", store.high)):
        key = str(store.path), level, str(home)
        if home.type == "cpu":  # mapped, and so shared already
            pixels.append(values)
            continue
        kept = _KEPT.get(key)
        if kept is None:
            kept = _KEPT[key] = values.to(home)
        pixels.append(kept)
    return pixels[0], pixels[1]


def _rows(flat: Tensor, first: Tensor, step: Tensor, rows: Tensor) -> Tensor:
    """Crops of as many ``rows``, which start ``step`` bytes apart: (N, size, size, 3) uint8."""
    size = len(rows)
    length = CHANNELS * size
    # Row i of this view is the bytes from i on; nothing is copied until it is indexed.
    every = flat.as_strided((flat.numel() - length + 1, length), (1, 1))
    starts = first[:, None] + step[:, None] * rows
    return every.index_select(0, starts.flatten()).view(-1, size, size, CHANNELS)


def _turned(crops: Tensor, turns: Tensor, symmetry: Tensor, crop: Tensor) -> Tensor:
    """Each crop by its own symmetry."""
    pixels = turns.index_select(0, symmetry) + (crop * crops.shape[1] ** 2).unsqueeze(1)
    return crops.view(-1, CHANNELS).index_select(0, pixels.flatten()).view_as(crops)
