"""Pages that MkDocs makes at build time: one per configuration group, the verbs, the records.

Nothing of them is written by hand: options, defaults and comments are those of ``conf/``, the
descriptions those of the classes, the commands' help that of the verbs. Links and pictures of the
hand-written pages point to files of the repository, so that they work there, too; they are
turned to the pages here.
"""

import posixpath
import re
from typing import TYPE_CHECKING

from docstrings import ROOT, about, arguments, opening, options_text, verbs
from keys import Option, read
from mkdocs.structure.files import File

from sr_experiments.configuration.locations import config_dir, groups, sweep_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

WORDS = {
    "model": "The network.",
    "loss": "What training makes small.",
    "quantization": "How the shipped file computes, and what is measured each epoch.",
    "data": "Pictures to train, validate and test on.",
    "optimizer": "How weights follow gradients.",
    "scheduler": "How the learning rate changes.",
    "trainer": "Length, device and precision of the training.",
    "callbacks": "What happens at the end of an epoch.",
    "task": "What kind of training a run is.",
    "discriminator": "The network that `task=gan` trains against.",
    "logger": "Where curves, pictures and files go besides the run folder.",
    "paths": "Folders.",
    "debug": "Short runs.",
    "experiment": "Whole configurations: published recipes and our own studies.",
    "sweep": "Many runs by one command: `python -m sr_experiments sweep=<name>`.",
    "task/metric": "What `task=gradient_study` sorts pictures by.",
    "task/policy": "Which mini-batches a training sees, in the order of a metric.",
    "task/regularizers": "Terms beside the loss: `task/regularizers=[<name>]`.",
}
FILES = {  # of the repository, shown as pages
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "sr_experiments/weights/README.md": "weights.md",
}
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the made pages, and the repository's own."""
    for name, text in _group_pages():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "commands.md", content=_commands()))
    for source, name in FILES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    for path in sorted((ROOT / "outputs" / "records").rglob("*")):
        if path.is_file():
            name = path.relative_to(ROOT / "outputs").as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Turn links to files of the repository to the pages that show them."""
    here = page.file.src_uri
    origin = _origin(here)

    def turned(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        shown = _shown(path)
        if shown is None:
            return match[0]
        return f"{match[1]}{posixpath.relpath(shown, posixpath.dirname(here) or '.')}{match[3]}"

    return LINK.sub(turned, markdown)


def _origin(name: str) -> str:
    """Where a page's text is in the repository."""
    for source, shown in FILES.items():
        if shown == name:
            return source
    return f"outputs/{name}" if name.startswith("records/") else f"docs/{name}"


def _shown(path: str) -> str | None:
    """The page or picture that shows a file of the repository; None where none does."""
    if path in FILES:
        return FILES[path]
    if path == "README.md":
        return "index.md"
    if path.startswith("outputs/records/"):
        return path.removeprefix("outputs/")
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("conf/"):
        return f"groups/{path.split('/')[1]}.md"
    return None


def _group_pages() -> "Iterator[tuple[str, str]]":
    shown = _groups()
    missing = sorted(set(shown) - set(WORDS))
    if missing:
        raise ValueError(f"docs/hooks/pages.py: WORDS says nothing of {', '.join(missing)}")
    rows = [
        f"| [`{name}`]({_page(name)}) | {WORDS[name]} | {len(names)} |"
        for name, names in shown.items()
    ]
    yield (
        "groups/index.md",
        "# Configuration\n\nA run is a choice of one option of each group, with any of its keys "
        "changed: `model=abpn model.channels=20`. These pages are made from `conf/` and the "
        "classes that it names.\n\n| group | | options |\n|---|---|---:|\n"
        + "\n".join(rows)
        + f"\n\n## Root keys\n\n{_table(_root())}\n",
    )
    for name, names in shown.items():
        yield f"groups/{_page(name)}", _group(name, names)


def _groups() -> dict[str, list[str]]:
    """Every group with its options; folders below ``task`` are groups of their own."""
    found = {name: names for name, names in groups().items() if name != "hydra"}
    inside = [name for name in found["task"] if "/" in name]
    found["task"] = [name for name in found["task"] if "/" not in name]
    for name in inside:
        folder, _, option = name.rpartition("/")
        found.setdefault(f"task/{folder}", []).append(option)
    return found


def _page(group: str) -> str:
    return f"{group.replace('/', '-')}.md"


def _root() -> Option:
    option = read(config_dir() / "config.yaml")
    option.target = None
    return option


def _group(group: str, names: list[str]) -> str:
    folder = sweep_dir() if group == "sweep" else config_dir() / group
    parts = [f"# {group}\n\n{WORDS[group]}\n"]
    default = _default(group)
    if default:
        parts.append(f"Default: `{group}={default}`.\n")
    whole = group in ("experiment", "sweep")
    for name in names:
        option = read(folder / f"{name}.yaml")
        parts.append(_whole(name, option) if whole else _option(group, name, option))
    base = folder / "base"
    for path in sorted(base.glob("*.yaml")) if base.is_dir() else ():
        parts.append(_option(group, f"base/{path.stem}", read(path)))
    return "\n".join(parts)


def _default(group: str) -> str | None:
    for include in read(config_dir() / "config.yaml").includes:
        key, _, name = include.partition(": ")
        if key == group and name not in ("", "null"):
            return name
    return None


def _whole(name: str, option: Option) -> str:
    """An experiment or sweep: the question it opens with, and the file."""
    about_lines = "\n".join(f"    {line}" for line in option.about.splitlines())
    head = f"```\n{option.about}\n```\n" if about_lines else ""
    return f'## {name}\n\n{head}\n??? note "its words"\n\n{_indent(_fenced(option.text))}\n'


def _fenced(text: str) -> str:
    return f"```yaml\n{text}\n```"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def _option(group: str, name: str, option: Option) -> str:
    lines = [f"## {name}", ""]
    if option.about:
        lines += [_prose(option.about), ""]
    target = option.target
    if target:
        words = [opening(target) if group == "model" else "", about(target)]
        lines += [_prose(text) + "\n" for text in dict.fromkeys(words) if text]
        lines += [f"Class: `{target}`", ""]
    includes = [item for item in option.includes if item != "_self_"]
    if includes:
        lines += ["Brings in: " + ", ".join(map(_included, includes)), ""]
    lines += [_table(option) if option.rows else "No keys.", ""]
    return "\n".join(lines)


def _included(item: str) -> str:
    """A part that other options share, with a link to it at the page's end."""
    name = item.partition("@")[0]
    if name.startswith("base/"):
        return f"[`{name}`](#{name.replace('/', '')})"
    return f"`{item}`"


def _prose(text: str) -> str:
    """A docstring's or comment's text as Markdown: names in code, no accidental markup."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_\[\]])", r"\\\1", part.replace("<", "&lt;"))
        for part in parts
    )


def _table(option: Option) -> str:
    said = arguments(option.target) if option.target else {}
    rows = ["| key | default | |", "|---|---|---|"]
    for key, value, comment in option.rows:
        text = comment or said.get(key.rpartition(".")[2], "") if "." not in key else comment
        shown = f"`{value}`" if value else ""
        rows.append(f"| `{key}` | {_cell(shown)} | {_cell(_prose(text))} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _commands() -> str:
    parts = [
        "# Commands\n\nWhat `--help` prints. Training itself is `python -m sr_experiments`, of "
        "which [the groups](groups/index.md) are the words.\n"
    ]
    for verb in verbs():
        parts.append(f"## {verb}\n\n```text\n{options_text(verb)}\n```\n")
    return "\n".join(parts)
