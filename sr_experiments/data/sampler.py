"""Random crops of a packed set, a whole batch at a time and no pass per image.

One gather copies the rows of all crops of a batch out of the flat pixels, a second turns each
crop by its symmetry of the square. Both run on the device that holds the set.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.data.store import PackedImages
from sr_experiments.errors import UserError

__all__ = ["PatchSampler", "symmetries"]

CHANNELS = 3
FREE_SHARE = 0.5  # of a device's free memory that a set may take; the rest is for training
PERMUTATIONS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])


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
        home = self.device if _fits(store, self.device) else torch.device("cpu")
        self._flat = store.low.to(home), store.high.to(home)
        self._turns = tuple(symmetries(size).to(home) for size in (patch, patch * self.scale))

    def __call__(self, iteration: int) -> tuple[Tensor, Tensor]:
        """The batch of one iteration.

        Returns:
            Low-res (batch_size, 3, patch, patch) and high-res (batch_size, 3, scale * patch,
            scale * patch), float32 in [0, 1], in channels-last memory order.
        """
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
        factor = torch.from_numpy(intensity / np.float32(255)).reshape(count, 1, 1, 1)
        batch = []
        for level, scale in enumerate((1, self.scale)):
            width = sizes[:, 1] * scale
            first = self._offsets[image, level] + CHANNELS * scale * (
                corner[:, 0] * width + corner[:, 1]
            )
            crops = _rows(self._flat[level], first, CHANNELS * width, self.patch * scale)
            if self.dihedral:
                crops = _turned(crops, self._turns[level], symmetry)
            if self.channel_shuffle:
                order = torch.from_numpy(colours).to(crops.device).view(count, 1, 1, CHANNELS)
                crops = torch.take_along_dim(crops, order, dim=3)
            crops = crops.to(self.device).permute(0, 3, 1, 2)
            batch.append(crops.to(torch.float32).mul_(factor.to(self.device)))
        low_res, high_res = batch
        return low_res, high_res


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


def _rows(flat: Tensor, first: NDArray[np.int64], step: NDArray[np.int64], size: int) -> Tensor:
    """Crops whose rows start ``step`` bytes apart: (N, size, size, 3) uint8."""
    length = CHANNELS * size
    # Row i of this view is the bytes from i on; nothing is copied until it is indexed.
    every = flat.as_strided((flat.numel() - length + 1, length), (1, 1))
    starts = torch.from_numpy(first[:, None] + step[:, None] * np.arange(size)).to(flat.device)
    return every.index_select(0, starts.flatten()).view(-1, size, size, CHANNELS)


def _turned(crops: Tensor, turns: Tensor, symmetry: NDArray[np.int64]) -> Tensor:
    """Each crop by its own symmetry."""
    count, size = crops.shape[:2]
    which = torch.from_numpy(symmetry).to(crops.device)
    crop = torch.arange(count, dtype=torch.int32, device=crops.device) * size**2
    pixels = turns.index_select(0, which) + crop.unsqueeze(1)
    return crops.view(-1, CHANNELS).index_select(0, pixels.flatten()).view_as(crops)
