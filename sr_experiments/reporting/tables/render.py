"""A table for the terminal, for a spreadsheet and for a README."""

from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from sr_experiments.files import write_atomic
from sr_experiments.reporting import environment
from sr_experiments.reporting.tables.html import as_html
from sr_experiments.reporting.tables.latex import as_latex
from sr_experiments.reporting.tables.table import BAD, GOOD, Column, Origin, Table
from sr_experiments.spreadsheet import csv_text

FILE_WIDTH = 160  # characters, where the output is no terminal
_STYLES = {GOOD: "green", BAD: "red"}


def print_table(table: Table, origin: Origin, console: Console) -> None:
    """Print a table without its wide columns, its notes, and the machine."""
    if not console.is_terminal:
        console.width = FILE_WIDTH  # rich would take it for a screen of 80
    title = escape(table.title)
    shown = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    columns = [column for column in table.used() if column.room <= console.width]
    for column in columns:
        numbers = bool(column.form)
        width = max(len(column.show(row.get(column.key))) for row in table.rows)
        shown.add_column(
            escape(column.title),
            justify="right" if numbers else "left",
            min_width=width if numbers else None,
        )
    for group in table.groups:
        for row in group:
            shown.add_row(*(_styled(column, row.get(column.key)) for column in columns))
        if len(table.groups) > 1:
            shown.add_section()
    console.print(table.about, markup=False)
    console.print(shown)
    for note in [*(f"{c.title}: {c.help}" for c in columns if c.help), *table.notes]:
        console.print(f"- {note}", markup=False, highlight=False)
    console.print(f"Machine: {origin.hardware}", markup=False, highlight=False)


def _styled(column: Column, cell: str | int | float | None) -> str:
    text = escape(column.show(cell))
    style = _STYLES.get(column.judge(cell))
    return f"[{style}]{text}[/]" if style else text


def as_csv(table: Table) -> str:
    """Every column, numbers unrounded, with the columns' keys as header."""
    keys = [column.key for column in table.columns]
    rows = [["" if (cell := row.get(key)) is None else cell for key in keys] for row in table.rows]
    return csv_text([keys, *rows])


def as_markdown(table: Table, origin: Origin) -> str:
    """A heading, the table, its notes, the machine and the command."""
    columns = table.used()
    lines = [
        f"# {_safe(table.title)}",
        "",
        _safe(table.about),
        "",
        _line([column.title for column in columns]),
        _line(["---:" if column.form else "---" for column in columns]),
        *(_line([column.show(row.get(column.key)) for column in columns]) for row in table.rows),
        "",
        *(
            f"- **{_safe(column.title)}**: {_safe(column.help)}"
            for column in columns
            if column.help
        ),
        *(f"- {_safe(note)}" for note in table.notes),
        "",
        f"Machine: {_safe(origin.hardware)}; {_safe(origin.software)}.",
        "",
        "```",
        origin.command,
        "```",
        "",
    ]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(_safe(cell) for cell in cells)} |"


def _safe(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def write_table(table: Table, origin: Origin, folder: Path, page: str | None = None) -> list[Path]:
    """Write CSV, Markdown, LaTeX and HTML files, replacing earlier ones of that name.

    Args:
        table: What to write.
        origin: How it was made.
        folder: Where to.
        page: HTML that says more than the table alone; None: `as_html`.

    Returns:
        Their paths; the page is last.
    """
    made = {
        "csv": as_csv(table),
        "md": as_markdown(table, origin),
        "tex": as_latex(table, origin),
        "html": as_html(table, origin) if page is None else page,
    }
    paths = [folder / f"{table.name}.{suffix}" for suffix in made]
    for path, text in zip(paths, made.values(), strict=True):
        write_atomic(path, text)
    return paths


def deliver(
    table: Table,
    command: str,
    folder: Path,
    page: Callable[[Table, Origin], str] | None = None,
) -> None:
    """Print a table and write its files.

    Args:
        table: What to show.
        command: What to type to make it again.
        folder: Where the files go.
        page: Makes HTML that says more than the table alone.
    """
    origin = Origin(command, environment.describe())
    print_table(table, origin, Console(highlight=False))
    text = None if page is None else page(table, origin)
    for path in write_table(table, origin, folder, text):
        print(f"written: {path}")
