"""No file that the package reads can name code: pickle and its kin are not to be found in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sr_experiments

SOURCES = sorted(Path(sr_experiments.__file__).parent.rglob("*.py"))
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EVALUATORS = {"eval", "exec", "compile", "__import__"}
UNSAFE = {
    "extractall": "write where the archive says",
    "unpack_archive": "write where the archive says",
    "load_from_checkpoint": "build from hyper-parameters",
    "unsafe_load": "build what YAML names",
    "full_load": "build what YAML names",
    "system": "run a shell",
    "popen": "run a shell",
}
# Where Hydra builds: from conf/ and what the user typed, never from a file of a run.
BUILDERS = {
    "training/making.py",
    "configuration/verbs.py",
    "configuration/trained.py",
    "reporting/tables/measured.py",
}


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Object, name and node of every call: ``torch``, ``load``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node
        elif isinstance(node.func, ast.Name):
            yield "", node.func.id, node


def faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        yield from (f"imports {name}" for name in modules if name.split(".")[0] in UNPICKLERS)
    for owner, name, node in calls(tree):
        given = {word.arg: word.value for word in node.keywords}
        if name in UNSAFE:
            yield f"{name} may {UNSAFE[name]}"
        if not owner and name in EVALUATORS:
            yield f"{name} runs text"
        if (owner, name) == ("torch", "load") and not _is(given.get("weights_only"), True):
            yield "torch.load unpickles without weights_only=True"
        if name == "fit" and "ckpt_path" in given and not _is(given.get("weights_only"), True):
            yield "a checkpoint is resumed without weights_only=True"
        if (owner, name) == ("yaml", "load"):
            yield "yaml.load builds what the file names"
        if owner in ("np", "numpy") and name == "load" and "allow_pickle" in given:
            yield "numpy unpickles"
        if "shell" in given and not _is(given["shell"], False):
            yield "a shell reads the command"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_can_run_what_a_file_names(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert list(faults(source)) == []
    relative = path.relative_to(Path(sr_experiments.__file__).parent).as_posix()
    builds = any(name == "instantiate" for _, name, _ in calls(ast.parse(source)))
    assert not builds or relative in BUILDERS


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "trainer.fit(task, ckpt_path=path)",
        "numpy.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "yaml.load(text, Loader)",
        "eval(text)",
        "subprocess.run(words, shell=True)",
        "Task.load_from_checkpoint(path)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert len(list(faults(source))) == 1
