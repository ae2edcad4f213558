"""Docstrings of classes by their dotted name, read without importing torch."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(
    r"^(Args|Attributes|Shape|Returns|Raises|Example|Examples|Yields|Note|Notes):\s*$", re.M
)
ARGUMENT = re.compile(r"^ {4}\*{0,2}(\w+)(?: \([^)]*\))?: (.*(?:\n {8,}.*)*)", re.M)


@cache
def _tree(module: str) -> ast.Module | None:
    base = ROOT / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return ast.parse(path.read_text(encoding="utf-8"))
    return None


def _find(target: str) -> tuple[ast.Module, ast.ClassDef] | None:
    """The module and class that ``target`` names, through the imports of packages."""
    module, _, name = target.rpartition(".")
    tree = _tree(module)
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return tree, node
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find(f"{node.module}.{alias.name}")
    return None


def about(target: str) -> str:
    """First paragraphs of a class's docstring, up to its first section; empty if not ours."""
    found = _find(target)
    if found is None:
        return ""
    text = ast.get_docstring(found[1]) or ""
    return SECTION.split(text)[0].strip()


def opening(target: str) -> str:
    """First line of the docstring of the module that a class is in: the paper, the idea."""
    found = _find(target)
    text = (ast.get_docstring(found[0]) or "") if found else ""
    return text.split("\n\n")[0].replace("\n", " ").strip()


def arguments(target: str) -> dict[str, str]:
    """What a class's docstring says of each argument; base classes fill in what it leaves out."""
    found = _find(target)
    if found is None:
        return {}
    tree, node = found
    said: dict[str, str] = {}
    own = target.rpartition(".")[0]
    for base in node.bases:
        if isinstance(base, ast.Name):
            said |= _of_base(tree, own, base.id)
    text = ast.get_docstring(node) or ""
    parts = SECTION.split(text)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title in ("Args", "Attributes"):
            for name, what in ARGUMENT.findall(body):
                said[name] = " ".join(what.split())
    return said


def _of_base(tree: ast.Module, module: str, name: str) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return arguments(f"{node.module}.{alias.name}")
        if isinstance(node, ast.ClassDef) and node.name == name:
            return arguments(f"{module}.{name}")
    return {}


def options_text(verb: str) -> str:
    """Docstring of a verb's ``Options``: what ``--help`` prints; empty where there is none."""
    for node in getattr(_tree(f"sr_experiments.{verb}"), "body", []):
        if isinstance(node, ast.ClassDef) and node.name == "Options":
            return inspect.cleandoc(ast.get_docstring(node) or "")
    return ""


def verbs() -> list[str]:
    """Modules at the top of the package that have ``Options``: the verbs beside training."""
    names = sorted(path.stem for path in (ROOT / "sr_experiments").glob("*.py"))
    return [name for name in names if options_text(name)]
