"""Read an option's YAML with its comments: each key, its default, and what the file says of it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

LEADING = re.compile(r"^#\s?(?!\s*@package)")


@dataclass
class Option:
    """One YAML of ``conf/`` or ``sweeps/``.

    Attributes:
        about: The comments at its head.
        text: The file without them.
        includes: Options that its defaults list brings in, as written there.
        target: The class that is built; None where there is none.
        rows: Dotted key, default and comment of every value.
    """

    about: str = ""
    text: str = ""
    includes: list[str] = field(default_factory=list)
    target: str | None = None
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def read(path: Path) -> Option:
    """The option that ``path`` holds."""
    source = path.read_text(encoding="utf-8")
    lines = [*source.splitlines(), ""]
    head = 0
    while head < len(lines) and lines[head].startswith("#"):
        head += 1
    about = "\n".join(LEADING.sub("", line) for line in lines[:head] if LEADING.match(line))
    option = Option(about, "\n".join(lines[head:]).strip("\n"))
    root = yaml.compose(source, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        _walk(root, "", lines, option)
    return option


def _walk(node: yaml.MappingNode, prefix: str, lines: list[str], option: Option) -> None:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        written = _written(value, lines)
        if name == "defaults":
            option.includes = [_include(item) for item in value.value]
        elif name.endswith("_target_"):
            option.target = option.target or value.value
            if prefix:
                option.rows.append((name, written, ""))
        elif name.endswith("_partial_"):
            continue
        elif isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            comment = _comment(lines, key.end_mark.line, key.end_mark.column)
            if comment:
                option.rows.append((name, "", comment))
            _walk(value, f"{name}.", lines, option)
        else:
            end = key.end_mark if isinstance(value, yaml.SequenceNode) else value.end_mark
            comment = _comment(lines, end.line, end.column)
            above = _above(lines, key.start_mark.line)
            option.rows.append((name, written, " ".join(filter(None, (above, comment)))))


def _written(value: yaml.Node, lines: list[str]) -> str:
    """A value as the file has it, on one line."""
    if isinstance(value, yaml.MappingNode | yaml.SequenceNode) and not value.flow_style:
        plain = yaml.safe_load(yaml.serialize(value))
        return yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column]
    parts = [lines[start.line][start.column :], *lines[start.line + 1 : end.line]]
    return " ".join(part.strip() for part in [*parts, lines[end.line][: end.column]])


def _include(item: yaml.Node) -> str:
    if isinstance(item, yaml.MappingNode):
        key, value = item.value[0]
        return f"{key.value}: {value.value}"
    return str(item.value)


def _comment(lines: list[str], line: int, column: int) -> str:
    """The comment behind a value, and those below it that stand further to the right."""
    rest = lines[line][column:] if line < len(lines) else ""
    start = rest.find("#")
    if start < 0:
        return ""
    found = [rest[start + 1 :].strip()]
    indent = column + start
    for below in lines[line + 1 :]:
        if not below.strip().startswith("#") or len(below) - len(below.lstrip()) < indent:
            break
        found.append(below.strip().lstrip("# "))
    return " ".join(found)


def _above(lines: list[str], line: int) -> str:
    """The comments on lines of their own right above a key, as far indented as it is."""
    found: list[str] = []
    indent = len(lines[line]) - len(lines[line].lstrip())
    for above in reversed(lines[:line]):
        text = above.strip()
        if not text.startswith("#") or len(above) - len(above.lstrip()) != indent:
            break
        if indent == 0 and line - len(found) - 1 < _head(lines):
            break
        found.insert(0, text.lstrip("# "))
    return " ".join(found)


def _head(lines: list[str]) -> int:
    """How many comment lines open the file."""
    return next((at for at, text in enumerate(lines) if not text.startswith("#")), len(lines))
