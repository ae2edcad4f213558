"""What orders pictures: a number, or several that are compared one after the other."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sr_experiments.errors import UserError, blaming

__all__ = ["ENDS", "Measure", "in_order", "measured", "name_of"]

AT_ONCE = 100  # pictures: what fits into a CPU's cache
ENDS = ("lowest", "highest")


class Measure(ABC):
    """Base of the measures that come with the package.

    A user's own need not be one: any callable from (N, 3, H, W) uint8 to (N,) or (N, k) will do.
    Those that are one are kept on disk, under the values of their public attributes.

    Attributes:
        title: For people.
        ends: What the pictures with the smallest and the largest value are, for people.
    """

    title: str
    ends: ClassVar[tuple[str, str]] = ENDS

    @abstractmethod
    def __call__(self, pictures: Tensor) -> Tensor:
        """Measure pictures.

        Args:
            pictures: (N, 3, H, W) uint8.

        Returns:
            (N,) or (N, k); of several columns the first decides, then the second, ...
        """

    def begin(self, pictures: Tensor) -> None:  # noqa: B027 (most have nothing to look at)
        """Look at the whole set before its parts are measured, (N, 3, H, W) uint8."""


def name_of(measure: Callable[[Tensor], Tensor]) -> str:
    """What its author called a measure: the class of an object, or the function.

    Example:
        >>> name_of(partial(torch.mean)), name_of(torch.nn.Identity())
        ('mean', 'Identity')
    """
    made = measure.func if isinstance(measure, partial) else measure
    return str(getattr(made, "__name__", type(made).__name__))


def measured(
    measure: Callable[[Tensor], Tensor], pictures: Tensor, cache_dir: Path | None
) -> Tensor:
    """Measure a set, a hundred pictures at a time.

    Args:
        measure: A `Measure`, or any such function.
        pictures: (N, 3, H, W) uint8.
        cache_dir: Where the values of a `Measure` are kept, in ``measures/``; None keeps none.

    Returns:
        (N, k) float64 on the CPU.

    Raises:
        UserError: The measure fails, or gives something else.
    """
    file = None
    if cache_dir is not None and isinstance(measure, Measure):
        file = cache_dir / "measures" / f"{_key(measure, pictures)}.safetensors"
        if file.is_file():
            try:
                return load_file(file)["values"]
            except (SafetensorError, KeyError):
                file.unlink()  # cut off by a full disk: measured again
    values = blaming("task.metric", lambda: _values(measure, pictures))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            temporary = file.with_name(f".{file.name}")
            save_file({"values": values}, temporary)
            temporary.replace(file)
    return values


def in_order(values: Tensor) -> Tensor:
    """Places of the pictures from the smallest value to the largest; equal ones keep theirs.

    Args:
        values: (N, k).

    Returns:
        (N,) int64.

    Example:
        >>> in_order(torch.tensor([[1.0, 2.0], [0.0, 9.0], [1.0, 1.0]])).tolist()
        [1, 2, 0]
    """
    columns = values.numpy().T[::-1]  # the last key of lexsort decides first
    return torch.from_numpy(np.lexsort(columns))


def _values(measure: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    if isinstance(measure, Measure):
        measure.begin(pictures)
    with torch.no_grad():
        parts = [measure(part) for part in torch.split(pictures, AT_ONCE)]
    for part, given in zip(parts, torch.split(pictures, AT_ONCE), strict=True):
        if not isinstance(part, Tensor) or part.ndim not in (1, 2) or len(part) != len(given):
            raise UserError("task.metric must give a number, or several, for each picture")
    values = torch.cat(parts).double().cpu()
    values = values[:, None] if values.ndim == 1 else values
    if not bool(values.isfinite().all()):
        raise UserError("task.metric gave values that are not finite")
    return values


def _key(measure: Measure, pictures: Tensor) -> str:
    options = {key: value for key, value in vars(measure).items() if key[0] != "_"}
    name = f"{type(measure).__module__}.{type(measure).__qualname__}"
    digest = hashlib.sha256(f"{name} {sorted(options.items())!r}".encode())
    digest.update(np.ascontiguousarray(pictures.cpu().numpy()).tobytes())
    return digest.hexdigest()[:24]
