"""One table, four forms: nothing lost in the file, nothing dangerous on the page."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from sr_experiments.reporting.tables.html import as_html
from sr_experiments.reporting.tables.latex import as_latex
from sr_experiments.reporting.tables.render import as_csv, as_markdown, print_table, write_table
from sr_experiments.reporting.tables.table import BAD, PAGE_ONLY, Column, Origin, Table

ORIGIN = Origin(
    "python -m sr_experiments.report table=zoo 'x=<b>'",
    {
        "cpu": {"model": "Abacus", "cores": 2, "int8_instructions": []},
        "versions": {"torch": "2"},
        "git": "abc",
    },
)
TABLE = Table(
    "small",
    "A small table",
    "What it shows.",
    (
        Column("name", "name"),
        Column("size", "KiB", ".1f", "of the file", judge=lambda cell: BAD if cell == 9.05 else ""),
        Column("remark", "remark", room=PAGE_ONLY),
        Column("empty", "never filled"),
    ),
    [[{"name": "<script>a|b*", "size": 9.05, "remark": "long"}, {"name": "c", "size": "large"}]],
    ["a note"],
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["td"] and data.strip():
            self.cells.append(data)


def test_csv_keeps_every_column_and_digit() -> None:
    first, second = csv.DictReader(io.StringIO(as_csv(TABLE)))
    assert first == {"name": "<script>a|b*", "size": "9.05", "remark": "long", "empty": ""}
    assert second["size"] == "large"


def test_markdown_has_the_table_the_machine_and_the_command() -> None:
    text = as_markdown(TABLE, ORIGIN)
    assert "| name | KiB | remark |" in text
    assert "| --- | ---: | --- |" in text
    assert "| &lt;script>a\\|b\\* | 9.1 | long |" in text
    for expected in ("# A small table", "- a note", "Abacus, 2 cores", ORIGIN.command):
        assert expected in text


def test_latex_takes_text_as_text_and_has_the_digits_of_the_page() -> None:
    title = "50 % of {A_1} & more"
    lines = as_latex(Table("t_1", title, "About.", TABLE.columns, TABLE.groups), ORIGIN).split("\n")
    assert r"\caption{50 \% of \{A\_1\} \& more. About.}" in lines
    assert r"\begin{tabular}{lrl}" in lines
    assert r"\textless{}script\textgreater{}a\textbar{}b* & 9.1 & long \\" in lines
    assert r"c & large &  \\" in lines
    assert lines[0] == f"% {ORIGIN.command}"


def test_page_needs_no_server_and_takes_text_as_text() -> None:
    page = Page(as_html(TABLE, ORIGIN))
    assert page.cells[0] == "<script>a|b*"
    assert page.tags.count("script") == 1  # the sorting
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert ("data-value", "9.05") in page.attributes  # sorted by this, not by what is shown
    assert ("class", "number bad") in page.attributes


def test_page_of_a_table_that_is_not_to_be_sorted_has_no_script() -> None:
    table = Table("t", "T", "About.", TABLE.columns, [*TABLE.groups, *TABLE.groups], sortable=False)
    page = Page(as_html(table, ORIGIN))
    assert "script" not in page.tags
    assert page.tags.count("tbody") == 2


@pytest.mark.parametrize("width", [60, 200])
def test_terminal_leaves_out_what_has_no_room_and_says_where_it_was_made(width: int) -> None:
    out = io.StringIO()
    print_table(TABLE, ORIGIN, Console(file=out, width=width, force_terminal=True))
    text = out.getvalue()
    assert "<script>a|b*" in text
    assert "long" not in text
    assert "never filled" not in text
    for expected in ("What it shows.", "KiB: of the file", "a note", "Machine: Abacus"):
        assert expected in text


def test_files_of_a_table_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "small.csv").write_text("old")
    paths = write_table(TABLE, ORIGIN, tmp_path / "new")
    assert [path.name for path in paths] == ["small.csv", "small.md", "small.tex", "small.html"]
    assert write_table(TABLE, ORIGIN, tmp_path)[0].read_text() == as_csv(TABLE)
