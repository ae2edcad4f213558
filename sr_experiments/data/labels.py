"""Pictures with labels, as a CSV beside them lists them.

Where a picture lies is a pattern of the CSV's columns: Kaggle's "glasses or no glasses" has
``faces-spring-2020/face-{id}.png``, most others ``{file}``. Further columns, such as the 512 of
Kaggle's latent vectors, are skipped.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.errors import UserError

__all__ = ["LabelledFile", "read_labels"]

FIELD = re.compile(r"\{(\w+)\}")
NAMED = 5  # files that an error names before it counts


@dataclass(frozen=True)
class LabelledFile:
    """One picture.

    Attributes:
        name: Its path below the root, which tables show.
        path: Where it is.
        label: Index of its class.
    """

    name: str
    path: Path
    label: int


def read_labels(
    root: Path,
    table: str,
    files: Sequence[str],
    label: str,
    classes: Sequence[str],
    source: str | None = None,
) -> list[LabelledFile]:
    """Read a CSV and find its pictures.

    Args:
        root: Folder of the set.
        table: The CSV, below ``root``.
        files: Where a picture may lie below ``root``, with column names in braces; the first
            pattern that the first picture fits is that of all.
        label: Column of the label: a class's number from 0, or its name.
        classes: Names of the classes.
        source: Where the set is to be had, for what an error says.

    Returns:
        In the order of the CSV.

    Raises:
        UserError: The CSV is absent or lacks a column, a label is none, a picture is listed
            twice, or pictures are missing; they are named.
    """
    path = root / table
    if not path.is_file():
        layout = _layout(path, root, files, label, classes)
        origin = f"\n  it can be had at {source}" if source else ""
        raise UserError(f"data.root={root}: there is no {table}; wanted is\n{layout}{origin}")
    rows = _rows(path, [label, *(name for pattern in files for name in FIELD.findall(pattern))])
    if not rows:
        raise UserError(f"{path} lists no pictures")
    pattern = next((p for p in files if (root / _fill(p, rows[0])).is_file()), files[0])
    found, seen = [], set[str]()
    for number, row in enumerate(rows, start=2):
        name = _fill(pattern, row)
        if name in seen:
            raise UserError(f"{path}, line {number}: {name} is listed twice")
        seen.add(name)
        index = _index(row[label], classes)
        if index is None:
            known = ", ".join(f"{place} ({known})" for place, known in enumerate(classes))
            raise UserError(
                f"{path}, line {number}: {label}={row[label]!r} of {name} is no class; known are "
                f"{known}"
            )
        found.append(LabelledFile(name, root / name, index))
    missing = [file.name for file in found if not file.path.is_file()]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise UserError(
            f"{path} lists {len(found)} pictures and {len(missing)} are not there: "
            f"{', '.join(missing[:NAMED])}{more} (below {root})"
        )
    return found


def _layout(
    path: Path, root: Path, files: Sequence[str], label: str, classes: Sequence[str]
) -> str:
    """The files that a set consists of, one a line."""
    columns = dict.fromkeys([name for pattern in files for name in FIELD.findall(pattern)])
    meaning = ", ".join(f"{index} {name}" for index, name in enumerate(classes))
    first, *others = [str(root / pattern) for pattern in files]
    lines = [
        f"{path}  (columns {', '.join([*columns, label])}; {label}: {meaning})",
        f"{first}  (a picture for each line)",
        *(f"or {other}" for other in others),
    ]
    return "\n".join(f"    {line}" for line in lines)


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            header = reader.fieldnames or []
            absent = [name for name in columns if name not in header]
            if absent:
                shown = ", ".join(header[:8]) + (", ..." if len(header) > 8 else "")
                raise UserError(f"{path} has no column {absent[0]}; its columns are {shown}")
            return [{name: row[name] or "" for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _fill(pattern: str, row: dict[str, str]) -> str:
    return FIELD.sub(lambda match: row[match[1]], pattern)


def _index(text: str, classes: Sequence[str]) -> int | None:
    if text in classes:
        return list(classes).index(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number in range(len(classes)) else None
