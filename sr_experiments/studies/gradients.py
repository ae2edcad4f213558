"""Distances of every mini-batch's gradient to the mean of all, over one epoch (Algorithm 1).

The mean is known only after the last batch, so something of every gradient has to be kept:
`Exact` keeps them whole in a file that is mapped into memory, as the paper does (24.9 GiB an
epoch for its DPN-92 and 195 batches). `Sketch` keeps a random projection of each, thousands of
times smaller: a count sketch (Charikar et al., 2002) adds each value, with a random sign, to one
of ``size`` cells drawn at random. Projecting is linear, and keeps squared lengths in expectation
with a relative standard deviation of at most ``sqrt(2 / size)``, whatever the vector; so
distances are measured between the projections.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError

__all__ = ["Exact", "GradientStore", "Sketch", "gradient_of", "stored_bytes"]

COLUMNS = 1 << 18  # parameters of all batches that are read at a time
SPARE = 1.05  # free disk that is wanted, as a multiple of what is stored


def stored_bytes(batches: int, values: int) -> int:
    """What keeping ``values`` 32-bit numbers of each batch takes.

    Example:
        >>> round(stored_bytes(195, 34_236_634) / 2**30, 1)  # the paper's: GiB
        24.9
    """
    return batches * values * 4


def gradient_of(network: nn.Module) -> list[Tensor]:
    """The gradients of all parameters that have one, flat and in the order of the parameters.

    Parameters that a backward pass did not reach count as zeros.
    """
    return [
        torch.zeros_like(parameter).flatten()
        if parameter.grad is None
        else parameter.grad.flatten()
        for parameter in network.parameters()
        if parameter.requires_grad
    ]


class GradientStore(ABC):
    """What is kept of one epoch's gradients.

    Args:
        batches: Of an epoch.
        parameters: Length of a gradient.
    """

    def __init__(self, batches: int, parameters: int) -> None:
        self.batches, self.parameters = batches, parameters

    @property
    @abstractmethod
    def bytes(self) -> int:
        """What is kept of an epoch."""

    @abstractmethod
    def start(self) -> None:
        """Begin an epoch; what an interrupted one left is forgotten."""

    @abstractmethod
    def add(self, place: int, gradient: Sequence[Tensor]) -> None:
        """Keep the gradient of batch ``place``, given in flat parts."""

    @abstractmethod
    def distances(self) -> Tensor:
        """Euclidean distance of each gradient to their mean, (batches,) float64; ends the epoch."""


class Exact(GradientStore):
    """Whole gradients, in a file.

    Args:
        batches: See `GradientStore`.
        parameters: See `GradientStore`.
        folder: Made for the epoch, and removed after it.
    """

    def __init__(self, batches: int, parameters: int, folder: Path) -> None:
        super().__init__(batches, parameters)
        self.folder = folder
        self._kept: np.memmap[tuple[int, int], np.dtype[np.float32]] | None = None

    @property
    def bytes(self) -> int:
        """See `GradientStore`."""
        return stored_bytes(self.batches, self.parameters)

    def check(self) -> None:
        """See whether the disk has room.

        Raises:
            UserError: It has not.
        """
        place = next(folder for folder in (self.folder, *self.folder.parents) if folder.is_dir())
        free = shutil.disk_usage(place).free
        if free < SPARE * self.bytes:
            raise UserError(
                f"task.distances=exact keeps {self.bytes / 2**30:.1f} GiB of gradients an epoch, "
                f"and {place} has {free / 2**30:.1f} GiB left: add task.distances=sketch, or move "
                "paths.output_dir"
            )

    def start(self) -> None:
        """See `GradientStore`."""
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept = np.memmap(
            self.folder / "gradients.f32",
            dtype=np.float32,
            mode="w+",
            shape=(self.batches, self.parameters),
        )

    def add(self, place: int, gradient: Sequence[Tensor]) -> None:
        """See `GradientStore`."""
        assert self._kept is not None
        first = 0
        for part in gradient:
            self._kept[place, first : first + len(part)] = part.cpu().numpy()
            first += len(part)

    def distances(self) -> Tensor:
        """See `GradientStore`."""
        assert self._kept is not None
        squares = np.zeros(self.batches)
        for first in range(0, self.parameters, COLUMNS):
            part = self._kept[:, first : first + COLUMNS].astype(np.float64)
            squares += ((part - part.mean(0)) ** 2).sum(1)
        self.close()
        return torch.from_numpy(np.sqrt(squares))

    def close(self) -> None:
        """Remove the file."""
        self._kept = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Sketch(GradientStore):
    """A count sketch of each gradient, in memory.

    The cells and signs are drawn from the seed once, on the CPU, so that they are the same in a
    resumed run and on any device; they take 5 bytes per parameter while the training runs.

    Args:
        batches: See `GradientStore`.
        parameters: See `GradientStore`.
        size: Cells.
        seed: Of cells and signs.

    Raises:
        UserError: ``size`` is below 2.
    """

    def __init__(self, batches: int, parameters: int, size: int = 16384, seed: int = 1) -> None:
        super().__init__(batches, parameters)
        if size < 2:
            raise UserError(f"task.sketch_size={size} is below 2")
        self.size, self.seed = size, seed
        self._cells: Tensor | None = None
        self._signs: Tensor | None = None
        self._kept: Tensor | None = None

    @property
    def bytes(self) -> int:
        """See `GradientStore`."""
        return stored_bytes(self.batches, self.size)

    def start(self) -> None:
        """See `GradientStore`."""
        self._kept = torch.zeros(self.batches, self.size)
        if self._cells is None:
            random = torch.Generator().manual_seed(self.seed)
            shape = (self.parameters,)
            self._cells = torch.randint(
                self.size, shape, generator=random, dtype=torch.int32, device="cpu"
            )
            signs = torch.randint(2, shape, generator=random, dtype=torch.int8, device="cpu")
            self._signs = 2 * signs - 1

    def add(self, place: int, gradient: Sequence[Tensor]) -> None:
        """See `GradientStore`."""
        assert self._kept is not None
        self._kept[place] = self.project(gradient).cpu()

    def project(self, gradient: Iterable[Tensor]) -> Tensor:
        """The sketch of a vector given in flat parts, (size,) float32."""
        if self._cells is None:
            self.start()
        assert self._cells is not None
        assert self._signs is not None
        cells: Tensor | None = None
        first = 0
        for part in gradient:
            if cells is None:
                cells = part.new_zeros(self.size, dtype=torch.float32)
                self._cells = self._cells.to(part.device)
                self._signs = self._signs.to(part.device)
            where = slice(first, first + len(part))
            cells.index_add_(0, self._cells[where], part.float() * self._signs[where])
            first += len(part)
        assert cells is not None
        return cells

    def distances(self) -> Tensor:
        """See `GradientStore`."""
        assert self._kept is not None
        kept = self._kept.double()
        self._kept = None
        return (kept - kept.mean(0)).square().sum(1).sqrt()
