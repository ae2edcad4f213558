"""Random crops of a packed set, a whole batch at a time and no pass per image.

One gather copies the rows of all crops of a batch out of the flat pixels, a second turns each
crop by its symmetry of the square. Both run on the device that holds the set. Where images may
be smaller than a crop, a third between them mirrors what lies outside.
"""

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.data.store import PackedImages
from sr_experiments.errors import UserError

__all__ = ["LEAVE_OUT", "REFUSE", "REMEDY", "SMALL", "Draw", "PatchSampler", "symmetries"]

CHANNELS = 3
REFUSE, LEAVE_OUT, MIRROR = SMALL = ("refuse", "leave_out", "mirror")
REMEDY = "add data.small=leave_out (such images are not drawn) or data.small=mirror (mirrored)"
FREE_SHARE = 0.5  # of a device's free memory that a set may take; the rest is for training
_KEPT: WeakValueDictionary[tuple[str, str, str], Tensor] = WeakValueDictionary()
PERMUTATIONS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])


class Draw(NamedTuple):
    """Where the crops of a batch are and what is done to them; N crops.

    Attributes:
        first: (N, 2) first byte of each crop, low-res and high-res.
        row: (N, 2) bytes from a row of its image to the next.
        inside: (N, 2, 2) of rows and of columns, in low-res pixels: how many of the crop lie
            before its image, and how many the image has.
        symmetry: (N,) of the square.
        factor: (N,) float32 of a level of 255.
        colours: (N, 3) their order.
    """

    first: Tensor
    row: Tensor
    inside: Tensor
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
        small: What becomes of images smaller than a crop. ``refuse``; ``leave_out``: they are not
            drawn; ``mirror``: the crop lies anywhere around the whole image, which goes on
            mirrored with its edge pixel repeated. MATLAB's bicubic sees just that beyond a border,
            so the low-res crop is still its high-res crop shrunk.
        device: Holds the pixels when they take less than half of its free memory; otherwise
            they stay in the mapped file and the batches are sent there.

    Attributes:
        home: The device that holds the pixels.

    Raises:
        UserError: An image is smaller than the patch and refused, or all are left out.
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
        small: str = REFUSE,
        device: torch.device | str = "cpu",
    ) -> None:
        self._drawn = _drawable(store, patch, small)
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
        self._mirrors = small == MIRROR and patch > int(store.sizes.min())
        self._widest = int(store.sizes[:, 1].max())
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
        image = self._drawn[random.integers(len(self._drawn), size=count)]
        sizes = self._sizes[image]
        room = sizes - self.patch  # below 0: of the crop, around the image
        offset = (random.random((count, 2)) * (np.abs(room) + 1)).astype(np.int64)
        corner = np.where(room < 0, 0, offset)
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
            torch.from_numpy(np.stack([offset - corner, sizes], axis=2)),
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
        flat, rows = self._flat[level], self._rows_of[level]
        first, step = draw.first[:, level, None], draw.row[:, level, None]
        if self._mirrors:
            factor = self.scale if level else 1
            crops = _mirrored(flat, first, step, rows, draw.inside * factor, self._widest * factor)
        else:
            crops = _rows(flat, first + step * rows, len(rows))
        if not self.dihedral:
            return crops
        number = self._crop
        if len(crops) != len(number):  # those of several runs that share the set
            number = torch.arange(len(crops), dtype=torch.int32, device=self.home)
        return _turned(crops, self._turns[level], draw.symmetry, number)


def _drawable(store: PackedImages, patch: int, small: str) -> NDArray[np.int64]:
    """Which images are drawn."""
    sides = store.sizes.amin(dim=1).numpy()
    large = sides >= patch
    if small == MIRROR:
        return np.arange(len(store))
    if large.all() or (small == LEAVE_OUT and large.any()):
        return np.flatnonzero(large)
    index = int(sides.argmin() if small == REFUSE else sides.argmax())
    height, width = store.sizes[index].tolist()
    refused = f"the image {store.names[index]}, which has {width}x{height} pixels"
    if small == LEAVE_OUT:
        refused = f"every image, the largest {width}x{height} pixels"
    raise UserError(
        f"data.patch={patch} is larger than {refused} at 1/{store.scale}; lower data.patch to "
        f"{sides[index]}" + (f", or {REMEDY}" if small == REFUSE else "")
    )


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


def _rows(flat: Tensor, starts: Tensor, length: int) -> Tensor:
    """Rows of ``length`` pixels from the bytes ``starts`` (N, size) on: (N, size, length, 3)."""
    window = CHANNELS * length
    # Row i of this view is the bytes from i on; nothing is copied until it is indexed.
    every = flat.as_strided((flat.numel() - window + 1, window), (1, 1))
    return every.index_select(0, starts.flatten()).view(*starts.shape, length, CHANNELS)


def _mirrored(
    flat: Tensor, first: Tensor, step: Tensor, pixels: Tensor, inside: Tensor, widest: int
) -> Tensor:
    """As `_rows`, of crops that may go beyond their images; ``inside`` as in `Draw`, scaled."""
    before, lengths = inside.unsqueeze(-1).unbind(2)
    place = (pixels - before) % (2 * lengths)
    rows, columns = torch.where(place < lengths, place, 2 * lengths - 1 - place).unbind(1)
    size = len(pixels)
    length = min(size, widest)
    starts = first + step * rows
    read = starts.clamp(max=flat.numel() - CHANNELS * length)  # a row's window may pass the end
    crops = _rows(flat, read, length)
    moved = (starts - read).div(CHANNELS, rounding_mode="floor").to(torch.int32)
    line = torch.arange(starts.numel(), dtype=torch.int32, device=flat.device) * length
    wanted = (line.view_as(moved) + moved).unsqueeze(2) + columns.to(torch.int32).unsqueeze(1)
    return crops.view(-1, CHANNELS).index_select(0, wanted.flatten()).view(-1, size, size, CHANNELS)


def _turned(crops: Tensor, turns: Tensor, symmetry: Tensor, crop: Tensor) -> Tensor:
    """Each crop by its own symmetry."""
    pixels = turns.index_select(0, symmetry) + (crop * crops.shape[1] ** 2).unsqueeze(1)
    return crops.view(-1, CHANNELS).index_select(0, pixels.flatten()).view_as(crops)
