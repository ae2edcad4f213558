"""The images of one experiment: what trains, what validates, what tests."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sr_experiments.data.ahead import Ahead
from sr_experiments.data.degradation import Degradation
from sr_experiments.data.finding import ImageFile, find_images, set_name
from sr_experiments.data.sampler import LEAVE_OUT, REFUSE, REMEDY, SMALL, Draw, PatchSampler
from sr_experiments.data.store import HighRes, PackedImages, Pair, Pairs, low_res_size, packed
from sr_experiments.errors import UserError

__all__ = ["SRData", "default_cache_dir"]

OPTIONAL = "?"  # ends the specification of a test set that may be absent
SMALLEST_SCORED = 11  # pixels at high-res inside the border: SSIM's window

SetProgress = Callable[[str, int, int], None]  # set, images done, images in all


class SRData:
    """Training batches, validation and test images.

    Making one only stores the values: `check` looks at the files' headers, `setup` decodes
    them into the packed store.

    Args:
        train: Sets, see `find_images`; their images are drawn with equal probability.
        val: Sets that validate each epoch.
        test: Sets that are scored at the end; one that ends in ``?`` may be absent.
        scale: Enlargement of height and width.
        batch_size: Crops per batch.
        patch: Height and width of the low-res training crops.
        small: What becomes of training images smaller than a crop; see `PatchSampler`.
        steps_per_epoch: Batches per epoch.
        dihedral: Turn and mirror each crop by one of the 8 symmetries of the square.
        intensity: Factors of which each crop is multiplied by one.
        channel_shuffle: Permute the colours of each crop.
        degradation: Options of what low-res training crops suffer besides; see `Degradation`.
        data_dir: The user's data folder.
        cache_dir: Of downloads and packed sets; None is the user's cache.
        root: The folder that the set ``folder`` means.
        seed: Of the batches.

    Attributes:
        missing: Optional test sets that are not here, with the reason.
    """

    def __init__(
        self,
        train: Sequence[str],
        val: Sequence[str],
        test: Sequence[str],
        scale: int,
        *,
        batch_size: int = 16,
        patch: int = 32,
        small: str = REFUSE,
        steps_per_epoch: int = 100,
        dihedral: bool = True,
        intensity: Sequence[float] = (1.0, 0.7, 0.5),
        channel_shuffle: bool = False,
        degradation: Mapping[str, Any] | None = None,
        data_dir: Path | str | None = None,
        cache_dir: Path | str | None = None,
        root: Path | str | None = None,
        seed: int = 1,
    ) -> None:
        self.train, self.val, self.test = list(train), list(val), list(test)
        self.scale = scale
        self.batch_size, self.patch, self.steps_per_epoch = batch_size, patch, steps_per_epoch
        self.small = small
        self.dihedral, self.channel_shuffle = dihedral, channel_shuffle
        self.intensity = tuple(intensity)
        self.degradation = Degradation(**(degradation or {}))
        self.data_dir = _path(data_dir)
        self.cache_dir = _path(cache_dir) or default_cache_dir()
        self.root = _path(root)
        self.seed = seed
        self.missing: dict[str, str] = {}
        self._sampler: PatchSampler | None = None
        self._ahead: Ahead[tuple[Tensor, Tensor]] | None = None
        self._train_store: PackedImages | None = None
        self._val_pairs: Pairs | None = None
        self._test_sets: dict[str, Pairs] | None = None
        self._calibration: dict[tuple[int, int, str], Tensor] = {}
        self._opened: dict[tuple[str, ...], tuple[list[ImageFile], PackedImages]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the packed sets by itself, but for what is measured on.

        So it measures on the pictures that this one validates on, whatever became of their files.
        """
        opened = ("_sampler", "_ahead", "_train_store", "_test_sets")
        return self.__dict__ | dict.fromkeys(opened) | {"_opened": {}}

    def check(self) -> None:
        """Look for the sets and read their headers; nothing is decoded or written.

        Raises:
            UserError: A value makes no sense, the cache cannot be written, a set is absent or
                incomplete, an image is unreadable or too small, or trains and is measured on.
        """
        self._check_settings()
        training = self._find(self.train)
        measured = self._find(self.val)
        for files in self._find_tests().values():
            measured += files
        shared = {file.path.resolve() for file in training} & {
            file.path.resolve() for file in measured
        }
        if shared:
            raise UserError(
                f"{min(shared)} is in data.train and in data.val or data.test: "
                "a network must not be measured on what it was trained on"
            )
        self._check_sizes(training, measured)

    def _check_sizes(self, training: Sequence[ImageFile], measured: Sequence[ImageFile]) -> None:
        sides = [min(low_res_size(file, self.scale)) for file in training]
        if self.small == REFUSE:
            self._refuse(training, sides, self.patch, f"lower data.patch to {{}}, or {REMEDY}")
        if self.small == LEAVE_OUT and max(sides, default=self.patch) < self.patch:
            raise UserError(
                f"data.small=leave_out leaves no image: at 1/{self.scale} each is less than "
                f"data.patch={self.patch} wide or high; lower data.patch to {max(sides)}"
            )
        sides = [min(low_res_size(file, self.scale)) for file in measured]
        least = -(-(SMALLEST_SCORED + 2 * self.scale) // self.scale)
        self._refuse(measured, sides, least, "leave it out: it cannot be scored")

    def _refuse(
        self, files: Sequence[ImageFile], sides: Sequence[int], least: int, advice: str
    ) -> None:
        for file, side in zip(files, sides, strict=True):
            if side < least:
                raise UserError(
                    f"{file.path} is {side} pixels wide or high at 1/{self.scale}, and "
                    f"{least} are needed; {advice.format(side)}"
                )

    def setup(
        self, device: torch.device | str = "cpu", progress: SetProgress | None = None
    ) -> None:
        """Pack all sets, and make training batches on ``device`` from now on.

        Whatever becomes of the files afterwards, this object goes on with what it has packed.

        Args:
            device: Where `train_batch` puts its batches.
            progress: Called with a set's name, its images done and all of them.

        Raises:
            UserError: As `check`, or an image that cannot be decoded, or a full disk.
        """
        self._check_settings()
        self._opened = {}
        self._train_store = self._open("train", self.train, progress)[1]
        self._val_pairs = Pairs(self._open("val", self.val, progress)[1])
        self._test_sets = {
            name: Pairs(self._pack(name, files, progress))
            for name, files in self._find_tests().items()
        }
        self._sampler = PatchSampler(
            self._train_store,
            self.batch_size,
            self.patch,
            self.seed,
            dihedral=self.dihedral,
            intensity=self.intensity,
            channel_shuffle=self.channel_shuffle,
            small=self.small,
            device=device,
        )
        self._ahead = None

    def train_batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Batch ``iteration``, a pure function of the seed and it; see `PatchSampler`.

        Where batches are on the CPU and asked for in turn, the next one is made meanwhile. A GPU
        cuts them itself, and its queue already keeps this off the way.
        """
        if self._sampling().device.type != "cpu":
            return self._batch(iteration)
        if self._ahead is None:
            self._ahead = Ahead(self._batch)
        return self._ahead(iteration)

    def _batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        low_res, high_res = self._sampling()(iteration)
        return self.degradation(low_res, self.seed, iteration), high_res

    def draw(self, iteration: int) -> Draw:
        """What batch ``iteration`` is cut by, on the CPU; see `PatchSampler.draw`."""
        return self._sampling().draw(iteration)

    def cut(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """The batch that was drawn, not degraded; see `PatchSampler.cut`."""
        return self._sampling().cut(draw)

    @property
    def home(self) -> torch.device:
        """The device that holds the pixels of the training set."""
        return self._sampling().home

    def _sampling(self) -> PatchSampler:
        if self._sampler is None:
            self.setup()
        assert self._sampler is not None
        return self._sampler

    def train_images(self) -> Sequence[Tensor]:
        """Training photos at high resolution, (3, H, W) uint8, read when asked for.

        Each comes once, also one that is drawn more often than others.
        """
        files, store = self._open("train", self.train, None)
        first = {file.path: index for index, file in reversed(list(enumerate(files)))}
        return HighRes(store, sorted(first.values()))

    def val_pairs(self) -> Sequence[Pair]:
        """Validation images: name, low-res and high-res (3, H, W) uint8, read when asked for."""
        if self._val_pairs is None:
            self._val_pairs = Pairs(self._open("val", self.val, None)[1])
        return self._val_pairs

    def test_sets(self) -> dict[str, Sequence[Pair]]:
        """Test images by set, as `val_pairs`; absent optional sets are in ``missing``."""
        if self._test_sets is None:
            self._test_sets = {
                name: Pairs(self._pack(name, files, None))
                for name, files in self._find_tests().items()
            }
        return dict(self._test_sets)

    def sizes(self) -> dict[str, int]:
        """Images of each set that `setup` packed: ``train``, ``val`` and the test sets."""
        if self._train_store is None:
            self.setup()
        assert self._train_store is not None
        counts = {"train": len(self._train_store), "val": len(self.val_pairs())}
        return counts | {name: len(pairs) for name, pairs in self.test_sets().items()}

    def calibration(self, count: int, size: int, source: str = "train") -> Tensor:
        """Fixed low-res crops without augmentation, for ranges of activations.

        They depend on neither the seed nor the batches drawn. Where an image is smaller than
        ``size``, all crops are as small as it.

        Args:
            count: Crops.
            size: Their height and width.
            source: ``train``, ``val``, or another set as `find_images` names them.

        Returns:
            (count, 3, size, size) float32 in [0, 1].

        Raises:
            UserError: There is no such set.
        """
        key = count, size, source
        if key not in self._calibration:
            store = self._open("calibration", self._specs(source), None)[1]
            side = min(size, int(store.sizes.min()))
            plain = PatchSampler(store, count, side, 0, dihedral=False, intensity=(1.0,))
            self._calibration[key] = plain(0)[0]
        return self._calibration[key]

    def calibration_files(self, source: str) -> list[ImageFile]:
        """The images that `calibration` cuts from; nothing is decoded.

        Raises:
            UserError: There is no such set.
        """
        return self._find(self._specs(source))

    def identity(self) -> dict[str, str]:
        """What of the images a run must find again to go on; see `training.same_data`."""
        stores = {"train": self._open("train", self.train, None)[1]}
        stores["val"] = self._open("val", self.val, None)[1]
        return {
            name: f"{len(store)} images, sha256 {store.digest[:16]}"
            for name, store in stores.items()
        }

    def _specs(self, source: str) -> list[str]:
        return {"train": self.train, "val": self.val}.get(source, [source])

    def _check_settings(self) -> None:
        for key, least in (
            ("scale", 1),
            ("batch_size", 1),
            ("patch", 1),
            ("steps_per_epoch", 1),
        ):
            value = getattr(self, key)
            if not isinstance(value, int) or value < least:
                name = key if key == "scale" else f"data.{key}"
                raise UserError(f"{name}={value} is not a whole number from {least}")
        if self.small not in SMALL:
            raise UserError(f"data.small={self.small} is not one of {', '.join(SMALL)}")
        if not self.intensity or min(self.intensity) <= 0 or max(self.intensity) > 1:
            raise UserError(
                f"data.intensity={list(self.intensity)} are not factors above 0, at most 1; "
                "data.intensity=[1.0] leaves the images as they are"
            )
        folders = (self.cache_dir, *self.cache_dir.absolute().parents)
        existing = next(folder for folder in folders if folder.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise UserError(
                f"paths.cache_dir={self.cache_dir}: {existing} cannot be written to; name "
                "another folder (or set SR_CACHE_DIR)"
            )

    def _find(self, specs: Sequence[str]) -> list[ImageFile]:
        files: list[ImageFile] = []
        for spec in specs:
            files += find_images(spec, self.data_dir, self.cache_dir, self.root)
        return files

    def _find_tests(self) -> dict[str, list[ImageFile]]:
        specs = [spec.removesuffix(OPTIONAL) for spec in self.test]
        names = [set_name(spec) for spec in specs]
        found: dict[str, list[ImageFile]] = {}
        self.missing = {}
        for spec, name, asked in zip(specs, names, self.test, strict=True):
            key = name if names.count(name) == 1 else spec
            try:
                found[key] = self._find([spec])
            except UserError as error:
                if not asked.endswith(OPTIONAL):
                    raise
                self.missing[key] = str(error)
        return found

    def _open(
        self, name: str, specs: Sequence[str], progress: SetProgress | None
    ) -> tuple[list[ImageFile], PackedImages]:
        """Files and packed images of a set, the same ones every time."""
        key = tuple(specs)
        if key not in self._opened:
            files = self._find(specs)
            self._opened[key] = files, self._pack(name, files, progress)
        return self._opened[key]

    def _pack(
        self, name: str, files: Sequence[ImageFile], progress: SetProgress | None
    ) -> PackedImages:
        if not files:
            raise UserError(
                f"data.{name} names no set; name some, such as data.{name}=[photos:train]"
            )
        report = None if progress is None else _named(name, progress)
        return packed(files, self.scale, self.cache_dir, report)


def _named(name: str, progress: SetProgress) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value).expanduser()


def default_cache_dir() -> Path:
    """The user's cache folder of this project."""
    import pooch

    return Path(pooch.os_cache("sr_experiments"))
