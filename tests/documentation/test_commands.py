"""Every command that the documentation shows is one that the program reads."""

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sr_experiments.configuration import report_options
from sr_experiments.configuration.application import quote_path
from sr_experiments.configuration.compose import check
from sr_experiments.configuration.locations import groups, sweep_dir
from sr_experiments.configuration.stages import plan
from sr_experiments.configuration.verbs import parse as parse_verb
from sr_experiments.errors import UserError
from sr_experiments.sweeping.grid import grid, left_to_jobs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
START = r"(?:python|make|wandb sweep)"
PLACEHOLDER = re.compile(r"<[^<>]+>")


def commands(text: str) -> Iterator[str]:
    """Lines of code blocks, and code within a line, that begin with a command."""
    joined = text.replace("\\\n", " ")
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", joined, re.M | re.S):
        yield from re.findall(rf"^\s*({START} [^\n]+)$", block, re.M)
    prose = re.sub(r"^```.*?^```", "", joined, flags=re.M | re.S)
    yield from re.findall(rf"`({START} [^`\n]+)`", prose)


def words_of(command: str) -> list[str]:
    """The words of a command line, with something in the place of placeholders."""
    filled = PLACEHOLDER.sub("placeholder", command)
    return [word for word in shlex.split(filled, comments=True) if word != "..."]


def has_plugin(sweep: str) -> bool:
    """Whether the sampler of a sweep is installed, where it has one."""
    samples = "hydra/sweeper: optuna" in (sweep_dir() / f"{sweep}.yaml").read_text()
    return not samples or importlib.util.find_spec("optuna") is not None


@cache
def check_training(*words: str) -> None:
    """Compose what a command trains; of several jobs the first and the last."""
    if any(word.startswith("hydra/launcher=") for word in words):  # plugins of an extra
        words = tuple(word for word in words if not word.lstrip("+").startswith("hydra"))
    rest = [word for word in words if not word.startswith(("-", "sweep=")) and word != "job"]
    rest = [quote_path(word) for word in rest]
    if {"--help", "--version"} & set(words):
        return
    sweeps = [word.removeprefix("sweep=") for word in words if word.startswith("sweep=")]
    if not sweeps and "-m" not in words:
        plan(rest)
        return
    for name in sweeps:
        assert name in groups()["sweep"], f"no sweep {name}"
    if rest and all(has_plugin(name) for name in sweeps):  # alone, another test composes it
        jobs = grid(left_to_jobs([*rest, *(f"+sweeps={name}" for name in sweeps)]))
        check(jobs[0])
        check(jobs[-1])


def check_verb(module: str, words: list[str]) -> None:
    verb = importlib.import_module(module)
    if "--help" in words:
        return
    options = parse_verb(verb.Options, words)
    if module.endswith(".report"):
        report_options.check(options)
    if module.endswith(".prepare"):
        root = ["data.root=placeholder"] if options.data == "folder" else []
        check([f"data={options.data}", f"scale={options.scale}", *root])
    model = getattr(options, "model", None)
    pretrained = getattr(options, "pretrained", None)
    for name in (model, *(pretrained if isinstance(pretrained, list) else [pretrained])):
        assert name is None or name in groups()["model"], f"no model {name}"


def check_command(command: str) -> None:
    words = words_of(command)
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
        assert words[1] in targets, f"no target {words[1]}"
        check_training(*words[2:])
    elif words[0] == "wandb":
        assert (ROOT / words[2]).is_file(), f"no file {words[2]}"
    elif words[1] != "-m":
        assert (ROOT / words[1]).is_file(), f"no file {words[1]}"
    elif words[2] == "sr_experiments":
        check_training(*words[3:])
    elif words[2].startswith("sr_experiments."):
        check_verb(words[2], words[3:])
    else:
        assert words[2] in ("pip", "venv", "pytest"), f"no module {words[2]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_read_by_the_program(page: Path) -> None:
    wrong = []
    for command in dict.fromkeys(commands(page.read_text(encoding="utf-8"))):
        try:
            check_command(command)
        except (UserError, AssertionError, ValueError) as error:
            wrong.append(f"{command}\n    {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "command",
    [
        "python -m sr_experiments model=xlsr model.chanels=3",
        "python -m sr_experiments -m model=xlsr,nothing",
        "python -m sr_experiments sweep=nothing",
        "python -m sr_experiments.evaluate rnu=<run>",
        "python -m sr_experiments.report table=nothing",
        "python -m sr_experiments.prepare data=nothing",
        "python -m sr_experiments.upscale input=a.png model=nothing",
        "python benchmarks/nothing.py",
        "make nothing",
        "wandb sweep sweeps/wandb/nothing.yaml",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    with pytest.raises((UserError, AssertionError), match=r"nothing|chanels|rnu"):
        check_command(command)


def test_commands_are_found_in_blocks_within_lines_and_over_two_lines() -> None:
    text = "Say `make train` or:\n\n```\n$ ls\npython -m a \\\n  b=1  # why\nx\n```\n"
    assert [words_of(command) for command in commands(text)] == [
        ["python", "-m", "a", "b=1"],
        ["make", "train"],
    ]
