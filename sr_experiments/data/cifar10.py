"""CIFAR-10 as the mini-batch study and ordinary training use it.

Which pictures are in a batch is asked for, not drawn here; how they are cropped and mirrored is
a pure function of the seed and the iteration, so that two networks that are shown one batch see
the same pixels, and a resumed run sees what it would have seen.

The published split has no validation part. All training pictures train, as in the paper; the
accuracy that each epoch shows is of the first ``val_images`` test pictures, and nothing is chosen
by it in the study.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr_experiments.data.cifar10_store import (
    CLASSES,
    SIZE,
    find_cifar10,
    packed_cifar10,
    read_part,
)
from sr_experiments.data.datamodule import default_cache_dir
from sr_experiments.errors import UserError

__all__ = ["Cifar10Data"]

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
TRAIN = 50_000
SCORED_AT_ONCE = 500


class Cifar10Data:
    """Training, validation and test pictures.

    Args:
        root: ``cifar-10-batches-py``, ``cifar10_jpg.zip``, or a folder that holds one of them.
        images: Training pictures, the first so many; None: all 50,000.
        val_images: Test pictures that each epoch is scored on, the first so many; None: all.
        test_images: Test pictures that the end is scored on, the first so many; None: all.
        classes: The ten names, for networks that ask how many there are.
        size: Height and width that pictures are resized to when they are loaded.
        batch_size: Pictures per batch; the last ones that fill none are left out.
        crop: Pixels of black border of which a random window is cut; 0 cuts none.
        mirror: Mirror half of the training pictures.
        mean: Subtracted from each colour.
        std: Divides each colour afterwards.
        data_dir: The user's data folder.
        cache_dir: Of the packed set; None is the user's cache.
        seed: Of crops and mirroring.

    Attributes:
        steps_per_epoch: Whole batches of the training pictures.

    Raises:
        UserError: A value makes no sense.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        images: int | None = None,
        val_images: int | None = 2000,
        test_images: int | None = None,
        classes: Sequence[str] = CLASSES,
        size: int = SIZE,
        batch_size: int = 256,
        crop: int = 4,
        mirror: bool = True,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        data_dir: Path | str | None = None,
        cache_dir: Path | str | None = None,
        seed: int = 1,
    ) -> None:
        for key, value, least in (
            ("images", TRAIN if images is None else images, 1),
            ("val_images", 1 if val_images is None else val_images, 1),
            ("test_images", 1 if test_images is None else test_images, 1),
            ("size", size, 1),
            ("batch_size", batch_size, 1),
            ("crop", crop, 0),
        ):
            if value < least:
                raise UserError(f"data.{key}={value} is below {least}")
        if tuple(classes) != CLASSES:
            raise UserError(f"data.classes={list(classes)} are not CIFAR-10's: {list(CLASSES)}")
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0:
            raise UserError("data.mean and data.std are three numbers each, data.std above 0")
        self.root = None if root is None else Path(root).expanduser()
        self.data_dir = None if data_dir is None else Path(data_dir).expanduser()
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self.images = TRAIN if images is None else images
        self.val_images, self.test_images = val_images, test_images
        self.classes, self.size = CLASSES, size
        self.batch_size, self.crop, self.mirror, self.seed = batch_size, crop, mirror, seed
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)
        self.steps_per_epoch = self.images // batch_size
        if self.steps_per_epoch < 1:
            raise UserError(
                f"data.batch_size={batch_size} is more than the {self.images} training pictures"
            )
        self.device = torch.device("cpu")
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}

    def check(self) -> None:
        """Look for the set; nothing is decoded.

        Raises:
            UserError: It is not here, with how to get it.
        """
        find_cifar10(self.root, self.data_dir, self.cache_dir)

    def setup(self, device: torch.device | str = "cpu") -> None:
        """Pack the set, if it is not packed yet, and load it on ``device``.

        Raises:
            UserError: A file is damaged, or holds fewer pictures than are asked for.
        """
        self.device = torch.device(device)
        source = find_cifar10(self.root, self.data_dir, self.cache_dir)
        path = packed_cifar10(source, self.cache_dir)
        for part, wanted in (("train", self.images), ("test", None)):
            images, labels = read_part(path, part)
            if wanted is not None and wanted > len(images):
                raise UserError(f"data.images={wanted}: {source} holds {len(images)} to train on")
            images, labels = images[:wanted], labels[:wanted]
            if self.size != SIZE:
                resized = F.interpolate(
                    images.float(), (self.size, self.size), mode="bilinear", antialias=True
                )
                images = resized.round_().clamp_(0, 255).to(torch.uint8)
            self._parts[part] = images.to(self.device), labels.to(self.device)

    def pictures(self) -> Tensor:
        """The training pictures, (N, 3, size, size) uint8, always in the same order."""
        return self._part("train")[0]

    def labels(self) -> Tensor:
        """Class of each training picture, (N,) int64."""
        return self._part("train")[1]

    def batch(self, indices: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Training pictures as the network sees them in one iteration.

        Args:
            indices: (n,) int64, which pictures.
            iteration: Decides crops and mirroring, with the seed.

        Returns:
            (n, 3, size, size) float32, cropped, mirrored and normalised; and (n,) int64.
        """
        images, labels = self._part("train")
        indices = indices.to(images.device)
        chosen = images[indices]
        random = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.seed % 2**64, iteration]))
        )
        corners = random.integers(2 * self.crop + 1, size=(len(indices), 2))
        mirrored = random.random(len(indices)) < 0.5
        if self.crop:
            chosen = _windows(chosen, self.crop, torch.from_numpy(corners).to(images.device))
        if self.mirror:
            where = torch.from_numpy(mirrored).to(images.device).view(-1, 1, 1, 1)
            chosen = torch.where(where, chosen.flip(3), chosen)
        return self._normalised(chosen), labels[indices]

    def val_steps(self) -> int:
        """Batches of the validation pictures."""
        return self._steps(self.val_images)

    def val_batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Some validation pictures as the network sees them, and their classes."""
        return self._scored(index, self.val_images)

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Test pictures as the network sees them, and their classes."""
        for index in range(self._steps(self.test_images)):
            yield self._scored(index, self.test_images)

    def _steps(self, count: int | None) -> int:
        return math.ceil(len(self._part("test")[1][:count]) / SCORED_AT_ONCE)

    def _scored(self, index: int, count: int | None) -> tuple[Tensor, Tensor]:
        images, labels = (tensor[:count] for tensor in self._part("test"))
        some = slice(index * SCORED_AT_ONCE, (index + 1) * SCORED_AT_ONCE)
        return self._normalised(images[some]), labels[some]

    def _part(self, name: str) -> tuple[Tensor, Tensor]:
        if not self._parts:
            self.setup(self.device)
        return self._parts[name]

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.float() / 255 - self.mean.to(images.device)) / self.std.to(images.device)


def _windows(images: Tensor, border: int, corners: Tensor) -> Tensor:
    """A window of the same size of each picture, after a black border has been put around it.

    Args:
        images: (N, 3, H, W).
        border: Its width in pixels.
        corners: (N, 2) int64 from 0 to twice the border: first row and column of each window.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (border,) * 4)
    rows = corners[:, :1] + torch.arange(height, device=images.device)
    columns = corners[:, 1:] + torch.arange(width, device=images.device)
    which = torch.arange(count, device=images.device).view(-1, 1, 1)
    # Advanced indices around a slice: the result has the colours last.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
