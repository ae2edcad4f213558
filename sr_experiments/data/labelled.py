"""The labelled pictures of one experiment: what trains, what validates, what tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sr_experiments.data.datamodule import default_cache_dir
from sr_experiments.data.images import image_size
from sr_experiments.data.labelled_store import (
    LabelledImages,
    Progress,
    packed_labelled,
    refuse_unreadable,
)
from sr_experiments.data.labels import LabelledFile, read_labels
from sr_experiments.data.splits import split
from sr_experiments.errors import UserError

__all__ = ["LabelledData", "LabelledPart"]


class LabelledPart:
    """The pictures of one part of a packed set.

    Args:
        store: The packed set.
        indices: (n,) int64, which of its pictures.

    Attributes:
        names: Of the pictures.
        labels: (n,) int64.
    """

    def __init__(self, store: LabelledImages, indices: Sequence[int]) -> None:
        self.store = store
        self.indices = torch.tensor(indices, dtype=torch.int64)
        self.names = [store.names[index] for index in indices]
        self.labels = store.labels[self.indices]

    def __len__(self) -> int:
        return len(self.names)

    def images(self, indices: Tensor) -> Tensor:
        """Pictures of this part, (n, 3, size, size) float32 in [0, 1]."""
        return self.store.pixels(self.indices[indices]).float().div_(255)


class LabelledData:
    """Training batches, and the parts of a stratified split.

    A pass over the training pictures has them in an order that is a pure function of the seed
    and the pass; the last batch of a pass is smaller, and left out where it would be a single
    picture, which batch norm cannot train on. Making one only stores the values.

    Args:
        root: Folder of the set.
        table: See `read_labels`.
        files: See `read_labels`.
        label: See `read_labels`.
        classes: Names of the classes.
        size: Height and width that pictures are resized to, once.
        batch_size: Pictures per batch.
        steps_per_epoch: Batches per epoch; None: one pass.
        mirror: Mirror half of the training pictures; no other part.
        val_share: See `split`.
        test_share: See `split`.
        folds: See `split`.
        fold: See `split`.
        split_seed: Of the split alone, so that runs of several seeds share it.
        shard: Pictures per packed file; None: all in one.
        source: Where the set is to be had.
        cache_dir: Of packed sets; None is the user's cache.
        seed: Of the batches.
    """

    def __init__(
        self,
        root: Path | str,
        table: str,
        files: Sequence[str],
        label: str,
        classes: Sequence[str],
        *,
        size: int = 32,
        batch_size: int = 32,
        steps_per_epoch: int | None = None,
        mirror: bool = False,
        val_share: float = 0.1,
        test_share: float = 0.1,
        folds: int | None = None,
        fold: int = 0,
        split_seed: int = 1,
        shard: int | None = None,
        source: str | None = None,
        cache_dir: Path | str | None = None,
        seed: int = 1,
    ) -> None:
        self.root = Path(root).expanduser()
        self.table, self.files, self.label = table, list(files), label
        self.classes, self.size = tuple(classes), size
        self.batch_size, self.mirror, self.shard = batch_size, mirror, shard
        self.val_share, self.test_share = val_share, test_share
        self.folds, self.fold, self.split_seed = folds, fold, split_seed
        self.source, self.seed = source, seed
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self._steps = steps_per_epoch
        self._listed: list[LabelledFile] | None = None
        self._split: dict[str, list[int]] | None = None
        self._store: LabelledImages | None = None
        self._parts: dict[str, LabelledPart] = {}
        self.device = torch.device("cpu")

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; reads the CSV where it is one pass."""
        return self._pass if self._steps is None else self._steps

    @steps_per_epoch.setter
    def steps_per_epoch(self, value: int) -> None:
        self._steps = value

    def check(self) -> None:
        """Look for the pictures and read their headers; nothing is decoded or written.

        Raises:
            UserError: A value makes no sense, or pictures are absent or unreadable; they are
                named.
        """
        refuse_unreadable(self.listed(), _read_header)
        assert self._pass

    def setup(self, device: torch.device | str = "cpu", progress: Progress | None = None) -> None:
        """Pack the set, and make training batches on ``device`` from now on.

        Args:
            device: Where `train_batch` puts its batches.
            progress: Called with the pictures done and all of them, where they are not packed.

        Raises:
            UserError: As `check`, or pictures that cannot be decoded, or a full disk.
        """
        self.device = torch.device(device)
        self._parts = {}
        self._store = packed_labelled(
            self.listed(), self.size, self.cache_dir, self.shard, progress
        )
        self._store.to(self.device)

    def listed(self) -> list[LabelledFile]:
        """The pictures in the order of the CSV.

        Raises:
            UserError: See `read_labels`.
        """
        if self._listed is None:
            for key in ("size", "batch_size", "shard"):
                value = getattr(self, key)
                if value is not None and (not isinstance(value, int) or value < 1):
                    raise UserError(f"data.{key}={value} is not a whole number from 1")
            self._listed = read_labels(
                self.root, self.table, self.files, self.label, self.classes, self.source
            )
        return self._listed

    def part(self, name: str) -> LabelledPart:
        """``train``, ``val`` or ``test``."""
        if self._store is None:
            self.setup(self.device)
        assert self._store is not None
        if name not in self._parts:
            self._parts[name] = LabelledPart(self._store, self.split()[name])
        return self._parts[name]

    def split(self) -> dict[str, list[int]]:
        """Indices into `listed` of each part."""
        if self._split is None:
            self._split = split(
                [file.label for file in self.listed()],
                self.classes,
                val_share=self.val_share,
                test_share=self.test_share,
                folds=self.folds,
                fold=self.fold,
                seed=self.split_seed,
            )
        return self._split

    def train_batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Batch ``iteration``, a pure function of the seed and it.

        Returns:
            (n, 3, size, size) float32 in [0, 1] and (n,) int64, on the device.
        """
        train = self.part("train")
        turn, place = divmod(iteration, self._pass)
        order = np.random.default_rng([self.seed, turn]).permutation(len(train))
        chosen = torch.from_numpy(order[place * self.batch_size : (place + 1) * self.batch_size])
        images, labels = train.images(chosen), train.labels[chosen]
        if self.mirror:
            random = np.random.default_rng([self.seed, turn, place])
            turned = torch.from_numpy(random.random(len(chosen)) < 0.5).to(images.device)
            images = torch.where(turned[:, None, None, None], images.flip(-1), images)
        return images.to(self.device), labels.to(self.device)

    def sizes(self) -> dict[str, int]:
        """Pictures of each part."""
        return {name: len(indices) for name, indices in self.split().items()}

    def identity(self) -> dict[str, str]:
        """What of the pictures a run must find again to go on; see `training.same_data`."""
        if self._store is None:
            self.setup(self.device)
        assert self._store is not None
        return {"root": f"{len(self._store.names)} pictures, sha256 {self._store.digest[:16]}"}

    @property
    def packed_bytes(self) -> int:
        """Size of the packed files; 0 before `setup`."""
        return 0 if self._store is None else self._store.bytes

    @property
    def _pass(self) -> int:
        """Batches that show each training picture once."""
        count = len(self.split()["train"])
        whole, rest = divmod(count, self.batch_size)
        return max(1, whole + (rest > 1))


def _read_header(path: Path) -> None:
    if min(image_size(path)) < 1:
        raise UserError(f"{path} has no pixels; remove it")
