"""A folder of any number of pictures through a classifier, a batch at a time, into a CSV."""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from sr_experiments.data import load_square
from sr_experiments.errors import UserError
from sr_experiments.functional.image_files import SUFFIXES
from sr_experiments.functional.probability import UNSURE, certainty, said
from sr_experiments.models import Classifier
from sr_experiments.spreadsheet import shielded

__all__ = ["classify", "escaped", "find_pictures"]

UNREADABLE = "unreadable"


def find_pictures(source: Path, leave_out: Path | None = None) -> Iterator[Path]:
    """Picture files below a folder, folder by folder and by name; or the one file.

    Files are found while they are read, so their number takes no memory; hidden ones are left
    out, links to folders not followed; a link that leads nowhere is found, as unreadable.

    Args:
        source: Folder or file.
        leave_out: A folder below it that is not looked into.
    """
    if source.is_file():
        yield source
        return
    skipped = None if leave_out is None else leave_out.resolve()
    for root, folders, names in os.walk(source):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(root) / name).resolve() != skipped
        )
        for name in sorted(names):
            path = Path(root) / name
            if path.suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            if path.is_file() or not path.exists():  # a pipe would be waited for, for ever
                yield path


def classify(
    network: Classifier,
    pictures: Iterable[Path],
    source: Path,
    output: Path,
    *,
    unsure: tuple[float, float],
    batch_size: int = 64,
    list_file: Path | None = None,
    move_to: Path | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Counter[str]:
    """Write a line for each picture.

    Args:
        network: In evaluation mode, on its device.
        pictures: Files.
        source: Folder that names in the CSV are relative to.
        output: The CSV, which appears when all is done.
        unsure: See `said`.
        batch_size: Pictures at once.
        list_file: Gets the paths of the unsure ones; None writes no list.
        move_to: Folder that the unsure ones are moved into; None moves none.
        advance: Called with the pictures done since the last call.

    Returns:
        Pictures of each class, unsure and unreadable.

    Raises:
        UserError: There are no pictures, or a file cannot be written.
    """
    counts: Counter[str] = Counter()
    doubtful: list[Path] = []  # of one batch
    partial = output.with_name(f".{output.name}.partial")
    partial_list = output.with_name(f".{output.name}.unsure.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            partial.open("w", encoding="utf-8", newline="") as out,
            partial_list.open("w", encoding="utf-8") as listing,
        ):
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["file", "probability", "said", "error"])
            for batch in _batches(pictures, batch_size):
                for path, row in _rows(network, batch, unsure):
                    cells = [escaped(_below(path, source)), *row]
                    writer.writerow([shielded(cell) for cell in cells])
                    counts[row[1]] += 1
                    if row[1] == UNSURE:
                        doubtful.append(path)
                _set_apart(doubtful, source, listing, move_to)
                doubtful.clear()
                advance(len(batch))
        if not counts:
            raise UserError(f"input={source}: there is no picture in it")
        partial.replace(output)
        if list_file is not None:
            partial_list.replace(list_file)
    except OSError as error:
        raise UserError(
            f"{error.filename or output} cannot be written: {error.strerror}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
        partial_list.unlink(missing_ok=True)
    return counts


def escaped(name: str) -> str:
    r"""A file name on one line of valid UTF-8; ``\`` itself is doubled, so it can be undone.

    Example:
        >>> print(escaped("a\nb"))
        a\nb
    """
    text = os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
    controls = (char for char in set(text) if not char.isprintable())
    return text.translate({ord(char): repr(char)[1:-1] for char in controls})


def _batches(pictures: Iterable[Path], size: int) -> Iterator[list[Path]]:
    files = iter(pictures)
    while batch := list(islice(files, size)):
        yield batch


def _rows(
    network: Classifier, batch: list[Path], unsure: tuple[float, float]
) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Probability, what is said, and error of each file."""
    device = next(network.parameters()).device
    loaded: dict[Path, Tensor] = {}
    errors: dict[Path, str] = {}
    for path in batch:
        try:
            loaded[path] = load_square(path, network.size)
        except UserError as error:
            errors[path] = escaped(str(error).splitlines()[0])
    answers: dict[Path, tuple[str, str, str]] = {}
    if loaded:
        images = torch.stack(list(loaded.values())).to(device).float().div_(255)
        with torch.no_grad():
            probabilities = network.probabilities(network(images)).cpu()
        words = said(probabilities, network.classes, unsure)
        values = certainty(probabilities).tolist()
        for path, word, value in zip(loaded, words, values, strict=True):
            answers[path] = f"{value:.6f}", word, ""
    for path in batch:
        yield path, answers.get(path) or ("", UNREADABLE, errors[path])


def _below(path: Path, source: Path) -> str:
    return path.name if path == source else path.relative_to(source).as_posix()


def _set_apart(
    doubtful: Iterable[Path], source: Path, listing: TextIO, move_to: Path | None
) -> None:
    for path in doubtful:
        listing.write(f"{escaped(str(path))}\n")
        if move_to is not None:
            target = _free(move_to / _below(path, source))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)


def _free(target: Path) -> Path:
    """A name that no file has yet: a moved picture replaces none."""
    count = 2
    free = target
    while free.exists():
        free = target.with_name(f"{target.stem}_{count}{target.suffix}")
        count += 1
    return free
