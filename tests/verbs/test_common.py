"""What all verbs have in common: quick help, clear refusals, nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = [
    "ship",
    "evaluate",
    "upscale",
    "export",
    "benchmark",
    "report",
    "doctor",
    "classify",
    "dashboard",
]

HELP = """
import importlib, sys
try:
    importlib.import_module("sr_experiments." + sys.argv[1]).main(["--help"])
except SystemExit as stop:
    assert stop.code == 0
print(*(name for name in ("torch", "lightning", "numpy") if name in sys.modules), "imported")
"""


def verb(name: str, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", f"sr_experiments.{name}", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


@pytest.mark.parametrize("name", VERBS)
def test_help_imports_nothing_heavy(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", HELP, name], capture_output=True, text=True, check=True
    )
    assert f"python -m sr_experiments.{name}" in result.stdout
    assert result.stdout.splitlines()[-1].strip() == "imported"


@pytest.mark.parametrize("module", ["sr_experiments", "sr_experiments.report"])
def test_output_that_nobody_reads_ends_it_without_a_word(module: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_explained_in_the_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib

    module = importlib.import_module(f"sr_experiments.{name}")
    with pytest.raises(SystemExit):
        module.main(["--help"])
    explained, _, defaults = capsys.readouterr().out.partition("Defaults")
    keys = [line.strip().partition("=")[0] for line in defaults.strip().splitlines()]
    words = set(explained.replace(",", " ").split())
    assert keys
    assert [key for key in keys if key not in words] == []


@pytest.mark.parametrize("name", VERBS)
def test_a_wrong_key_exits_with_2_names_the_right_one_and_writes_nothing(
    name: str, tmp_path: Path
) -> None:
    key = {"doctor": "data_dirr", "report": "runss", "dashboard": "dataa"}.get(name, "runn")
    result = verb(name, f"{key}=x", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: unknown key {key}; did you mean {key[:-1]}?")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["evaluate", "upscale", "export", "benchmark"])
def test_a_wrong_path_exits_with_2_and_writes_nothing(name: str, tmp_path: Path) -> None:
    further = {"upscale": ["input=a", "output=b"], "export": ["output=b"]}.get(name, [])
    result = verb(name, "run=nowhere", *further, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr == "error: run=nowhere: there is no such folder\n"
    assert list(tmp_path.iterdir()) == []
