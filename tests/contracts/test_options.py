"""No option of ``conf/`` is left unread; that each also does something is tested group by group."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import sr_experiments
from sr_experiments.configuration.locations import config_dir

CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted(Path(sr_experiments.__file__).parent.rglob("*.py"))
)
FILES = [path for path in sorted(config_dir().rglob("*.yaml")) if "experiment" not in path.parts]


def nodes(content: Any) -> Iterator[dict[str, Any]]:
    """Every mapping that names a class of this package."""
    if isinstance(content, dict):
        if str(content.get("_target_", "")).startswith("sr_experiments"):
            yield content
        for value in content.values():
            yield from nodes(value)
    elif isinstance(content, list):
        for value in content:
            yield from nodes(value)


def source_of(target: str) -> str:
    """Of a function, or of a class and those of ours that it inherits from.

    Of a library's, too, where the class hands on what it does not name.
    """
    module, _, name = target.rpartition(".")
    found = getattr(import_module(module), name)
    kinds = found.__mro__[:-1] if inspect.isclass(found) else [found]
    parameters = inspect.signature(found).parameters.values()
    hands_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    read = [kind for kind in kinds if hands_on or kind.__module__.startswith("sr_experiments")]
    return "\n".join(textwrap.dedent(inspect.getsource(kind)) for kind in read)


def reads(source: str, key: str) -> bool:
    """Whether the code looks at the option, as a name or as an attribute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name == key:
                return True
    # A field of a dataclass may be read by who holds it.
    return "@dataclass" in source and re.search(rf"\.{key}\b", CODE) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_option_is_read_by_what_it_is_an_option_of(path: Path) -> None:
    for node in nodes(yaml.safe_load(path.read_text(encoding="utf-8"))):
        source = source_of(node["_target_"])
        options = [key for key in node if not key.startswith("_") and key != "defaults"]
        assert [key for key in options if not reads(source, key)] == [], node["_target_"]


@pytest.mark.parametrize("name", ["config", "trainer/default", "trainer/cpu", "paths/default"])
def test_every_key_without_a_class_is_read_somewhere(name: str) -> None:
    content = yaml.safe_load((config_dir() / f"{name}.yaml").read_text(encoding="utf-8"))
    keys = set(content) - {"defaults"}
    assert {key for key in keys if not re.search(rf"[.\"']{key}\b", CODE)} == set()


def test_an_option_that_nobody_reads_would_be_found() -> None:
    assert not reads("class A:\n    def __init__(self, b):\n        self.c = 1", "b")
    assert reads("class A:\n    def __init__(self, b):\n        self.c = b", "b")
