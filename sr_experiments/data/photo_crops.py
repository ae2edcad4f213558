"""A fixed set of crops of photos, for studies that ask which pictures are in a batch.

`SRData` draws new crops in every iteration; a study of mini-batches needs pictures that stay.
So a number of crops is drawn once, without augmentation, and a batch is asked for by its indices.
Validation and test images are those of `SRData`.
"""

from typing import Any

import torch
from torch import Tensor

from sr_experiments.data.datamodule import SRData
from sr_experiments.data.sampler import PatchSampler
from sr_experiments.data.store import packed
from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float, to_uint8

__all__ = ["PhotoCrops"]

DRAWN_AT_ONCE = 64
CROP_SEED = 1  # of the crops: they belong to the set, not to the run


class PhotoCrops(SRData):
    """Crops by index.

    Args:
        images: Crops.
        **options: Those of `SRData`, without what it says of an epoch's length and augmentation.

    Attributes:
        steps_per_epoch: Whole batches of the crops.

    Raises:
        UserError: There are fewer crops than a batch has.
    """

    def __init__(self, images: int = 2000, **options: Any) -> None:
        super().__init__(**options, steps_per_epoch=1, dihedral=False, intensity=(1.0,))
        self.images = images
        self.steps_per_epoch = images // self.batch_size
        if self.steps_per_epoch < 1:
            raise UserError(f"data.images={images} is less than data.batch_size={self.batch_size}")
        self._crops: tuple[Tensor, Tensor] | None = None

    def setup(self, device: torch.device | str = "cpu", progress: Any = None) -> None:
        """See `SRData`; also draw the crops, on ``device``."""
        super().setup(device, progress)
        store = packed(self._find(self.train), self.scale, self.cache_dir)
        sampler = PatchSampler(
            store,
            DRAWN_AT_ONCE,
            self.patch,
            CROP_SEED,
            dihedral=False,
            intensity=(1.0,),
            small=self.small,
        )
        parts = [sampler(index) for index in range(-(-self.images // DRAWN_AT_ONCE))]
        low, high = (
            torch.cat([to_uint8(part[level]) for part in parts])[: self.images].contiguous()
            for level in (0, 1)
        )
        self._crops = low.to(device), high.to(device)

    def pictures(self) -> Tensor:
        """The high-res crops, (N, 3, scale * patch, scale * patch) uint8."""
        return self._pair()[1]

    def batch(self, indices: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Low-res and high-res crops in [0, 1], float32; the same in every iteration."""
        low, high = self._pair()
        indices = indices.to(low.device)
        return to_float(low[indices]), to_float(high[indices])

    def _pair(self) -> tuple[Tensor, Tensor]:
        if self._crops is None:
            self.setup()
        assert self._crops is not None
        return self._crops
