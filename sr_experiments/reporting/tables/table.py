"""A table as values, before it is printed, written or made a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sr_experiments.reporting.wording import counted

Cell = str | int | float | None
Row = Mapping[str, Cell]
GOOD, BAD = "good", "bad"
PAGE_ONLY = 10_000  # no terminal has that much room


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Name in CSV files and in rows.
        title: What people read.
        form: Format of its numbers, such as ``,d`` or ``.2f``; empty for text. Text in a column
            of numbers is shown as it is: why there is no number.
        help: What the number is, where the title does not say it all.
        room: Width of the terminal, in characters, from which it is printed.
        judge: ``good``, ``bad`` or empty of a cell, for a colour.
    """

    key: str
    title: str
    form: str = ""
    help: str = ""
    room: int = 0
    judge: Callable[[Cell], str] = field(default=lambda cell: "")

    def show(self, cell: Cell) -> str:
        """The cell as text; empty for None."""
        if cell is None:
            return ""
        if isinstance(cell, str) or not self.form:
            return str(cell)
        return format(cell, self.form)


@dataclass(frozen=True)
class Table:
    """A table and what is to be said of it.

    Attributes:
        name: Stem of its files.
        title: Heading.
        about: What it shows, in a sentence.
        columns: In order.
        groups: Rows; a line is drawn between groups.
        notes: Sentences below it: methods, what differs, what is not at hand.
        sortable: False where the order of the rows says which belong together.
    """

    name: str
    title: str
    about: str
    columns: Sequence[Column]
    groups: Sequence[Sequence[Row]]
    notes: Sequence[str] = ()
    sortable: bool = True

    @property
    def rows(self) -> list[Row]:
        """Rows of all groups."""
        return [row for group in self.groups for row in group]

    def used(self) -> list[Column]:
        """Columns that hold anything."""
        return [
            column
            for column in self.columns
            if any(row.get(column.key) is not None for row in self.rows)
        ]


@dataclass(frozen=True)
class Origin:
    """How a table was made.

    Attributes:
        command: What to type to make it again.
        machine: ``environment.describe()``.
    """

    command: str
    machine: Mapping[str, Any]

    @property
    def hardware(self) -> str:
        """The machine in a line."""
        cpu = self.machine["cpu"]
        int8 = ", ".join(cpu["int8_instructions"]) or "no INT8 instructions"
        return f"{cpu['model']}, {counted(cpu['cores'], 'core')}, {int8}"

    @property
    def software(self) -> str:
        """Versions in a line."""
        versions = ", ".join(f"{name} {value}" for name, value in self.machine["versions"].items())
        revision = self.machine["git"]
        return versions if revision is None else f"{versions}; revision {revision}"
