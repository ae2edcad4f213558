"""CSV that a spreadsheet takes for text and numbers, never for a formula.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is computed when the file is opened, and a
file's name can be such a cell. As OWASP advises on CSV injection, those get an apostrophe in
front, which spreadsheets read as "text follows". Numbers are left as they are.
"""

import csv
import io
import re
from collections.abc import Iterable

__all__ = ["csv_text", "shielded", "unshielded"]

FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)  # a dash alone is none
SHIELDED = re.compile(r"'+[=+\-@\t\r].", re.DOTALL)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as the content of a CSV file."""
    return "".join(_line(row) for row in rows)


def _line(row: Iterable[object]) -> str:
    out = io.StringIO()
    # With this end, and not with a plain line feed, a carriage return within a cell is quoted.
    csv.writer(out, lineterminator="\r\n").writerow([shielded(cell) for cell in row])
    return out.getvalue().removesuffix("\r\n") + "\n"


def shielded(cell: object) -> object:
    """A cell as it is written; `unshielded` undoes it.

    Example:
        >>> [shielded(cell) for cell in ("=1+1", "-1.5", "a-b", -2, "'=A1", "-")]
        ["'=1+1", '-1.5', 'a-b', -2, "''=A1", '-']
    """
    if isinstance(cell, str) and FORMULA.match(cell) and not _is_number(cell):
        return f"'{cell}"
    return cell


def unshielded(cell: str) -> str:
    """A cell as it was before it was written.

    Example:
        >>> unshielded("'=1+1")
        '=1+1'
    """
    return cell[1:] if SHIELDED.match(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
