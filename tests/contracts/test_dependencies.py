"""What ``requirements.lock`` pins can still be had, and nobody has withdrawn it.

Advisories are another matter (pip-audit): this asks the package index alone, through pip.
"""

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ABANDONED = "Development Status :: 7 - Inactive"
# Mended and no longer extended; what its authors write instead has no plugins yet, and pages that
# are made by a hook can move when it has.
ACCEPTED = ["mkdocs-material"]
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = [match for line in lines if (match := PINNED.fullmatch(line.strip()))]
    return {_normal(match["name"]): match["version"] for match in found}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["dev"], *extras["onnx"], *extras["sweep"]]
    names = {_normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in listed}
    return names - {"sr-experiments"}


def test_everything_that_is_required_is_pinned_to_one_version() -> None:
    assert required() - set(pinned()) == set()
    assert len(pinned()) > 100


@cache
def _report() -> list[dict[str, Any]]:
    """What the index says of every pinned version; nothing is installed."""
    words = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
    result = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--requirement", str(ROOT / "requirements.lock")],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    listed: list[dict[str, Any]] = json.loads(result.stdout)["install"]
    return listed


@pytest.mark.network
def test_no_pinned_version_is_yanked() -> None:
    listed = _report()
    assert {_normal(item["metadata"]["name"]) for item in listed} >= required()
    assert [item["metadata"]["name"] for item in listed if item.get("is_yanked")] == []


@pytest.mark.network
def test_no_pinned_project_calls_itself_abandoned_but_those_that_are_accepted() -> None:
    said = {item["metadata"]["name"]: item["metadata"].get("classifier", []) for item in _report()}
    assert [name for name, classifiers in said.items() if ABANDONED in classifiers] == ACCEPTED
