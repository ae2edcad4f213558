"""A table for a paper: ``booktabs``, the same rows and digits as everywhere else."""

from sr_experiments.reporting.tables.table import Origin, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def as_latex(table: Table, origin: Origin) -> str:
    """A ``table`` environment that needs the package ``booktabs``."""
    columns = table.used()
    lines = [
        f"% {_comment(origin.command)}",
        f"% {_comment(origin.hardware)}; {_comment(origin.software)}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_safe(table.title)}. {_safe(table.about)}}}",
        rf"\label{{tab:{_label(table.name)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.form else 'l' for column in columns)}}}",
        r"\toprule",
        _line([column.title for column in columns]),
    ]
    for group in table.groups:
        lines.append(r"\midrule")
        lines += [_line([column.show(row.get(column.key)) for column in columns]) for row in group]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return " & ".join(_safe(cell) for cell in cells) + r" \\"


def _safe(text: str) -> str:
    """Text that TeX takes for nothing else."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def _comment(text: str) -> str:
    return " ".join(text.split())


def _label(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)
