"""Write files so that a reader, or a power cut, never sees half of one."""

import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any

UNFINISHED = ".part"  # ends the hidden name that a file has while it is written


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` beside ``path`` and rename it into place.

    Args:
        path: Destination; its folder is made when absent.
        content: Text is written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(UNFINISHED, f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename a file that something else has written, once it is on the disk for certain."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def append_line(path: Path, line: str) -> None:
    """Add a line, whole or not at all; several processes may add to one file.

    Args:
        path: Made when absent.
        line: Ends in a line break.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    data = line.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        # One write: a killed process leaves the whole line or none of it.
        if os.write(descriptor, data) < len(data):  # a disk that fills up takes what it can
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing below ``folder`` when it died."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically; NaN and infinities become ``null``."""
    write_atomic(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
