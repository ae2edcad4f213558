"""The mini-batch study of a network that enlarges: the paper's question beyond classification.

The pictures that are sorted are the high-resolution crops, and the score is PSNR.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor

from sr_experiments.data import Pair
from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.metrics import psnr_rgb, psnr_y
from sr_experiments.models import SRModel
from sr_experiments.tasks.gradient_study import GradientStudy, StudyData

__all__ = ["EnlargerStudy"]


class CropStudyData(StudyData, Protocol):
    """Crops of photos.

    Attributes:
        scale: Enlargement.
        patch: Height and width of a low-res crop.
    """

    scale: int
    patch: int

    def val_pairs(self) -> Sequence[Pair]:
        """Name, low-res and high-res of the validation images."""

    def test_sets(self) -> dict[str, Sequence[Pair]]:
        """The same of each test set."""


class EnlargerStudy(GradientStudy):
    """Scores are PSNR in dB, RGB in validation and luma in the end; see `GradientStudy`."""

    metric = "val/psnr"
    network: SRModel
    data: CropStudyData

    def check(self, choices: Mapping[str, str]) -> None:
        """See `GradientStudy`."""
        if not isinstance(self.network, SRModel) or not self.network.trainable:
            raise UserError(
                f"model={choices['model']} is no network that is trained to enlarge: name one, "
                "such as model=xlsr"
            )
        if getattr(self.loss, "classifies", False) or getattr(self.loss, "needs_low_res", False):
            raise UserError(f"loss={choices['loss']} does not compare two pictures: add loss=l1")
        if not hasattr(self.data, "val_pairs"):
            raise UserError(f"data={choices['data']} has no photos: add data=photo_crops")
        if self.network.scale != self.data.scale:
            raise UserError(
                f"model={choices['model']} enlarges x{self.network.scale} and the data are for "
                f"x{self.data.scale}: set scale= alone"
            )

    def noise(self) -> tuple[Tensor, Tensor]:
        """See `GradientStudy`."""
        side, scale = self.data.patch, self.data.scale
        return torch.rand(2, 3, side, side), torch.rand(2, 3, scale * side, scale * side)

    def val_dataloader(self) -> Iterable[int]:
        """One entry per validation image."""
        return range(len(self.data.val_pairs()))

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Score one image on its rounded 8-bit picture, RGB."""
        _, low_res, high_res = self.data.val_pairs()[index]
        psnr = psnr_rgb(self._picture(low_res), high_res, self.data.scale)
        self.log("val/psnr", psnr, on_epoch=True, batch_size=1, prog_bar=True)

    def test(self) -> dict[str, float]:
        """Luma PSNR on each test set, mean over its images, in dB."""
        return {
            f"{name}_psnr_y": fmean(
                psnr_y(self._picture(low_res), high_res, self.data.scale)
                for _, low_res, high_res in pairs
            )
            for name, pairs in self.data.test_sets().items()
        }

    def _picture(self, low_res: Tensor) -> Tensor:
        return to_uint8(self(to_float(low_res)[None])[0]).cpu()
