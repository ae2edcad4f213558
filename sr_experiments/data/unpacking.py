"""Unpack an archive whose author is not trusted with anything but images."""

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from sr_experiments.errors import UserError

__all__ = ["unpack"]

Progress = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    into: Path,
    prefixes: tuple[str, ...],
    progress: Progress | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Unpack the files whose names begin with one of ``prefixes``.

    They are written beside ``into`` first and then moved, so that a killed process leaves no
    half of a folder behind. Links and devices are left out.

    Args:
        archive: A zip, or a tar of any compression.
        into: Folder to unpack in, made when absent.
        prefixes: Folders in the archive, each ending in ``/``.
        progress: Called with the files done and all.
        check: Called with the folder of all that was written, before any of it is moved; what it
            raises keeps ``into`` as it was.

    Raises:
        UserError: The archive is damaged, has nothing of what is wanted, names a place outside
            ``into``, or needs more space than the disk has.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with (
            _members(archive) as members,
            tempfile.TemporaryDirectory(dir=into, prefix=".unpacking-") as temporary,
        ):
            _refuse_escapes(archive, members)
            wanted = [member for member in members if member.name.startswith(prefixes)]
            _check(archive, wanted, into)
            for position, member in enumerate(wanted):
                target = Path(temporary) / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                if progress is not None:
                    progress(position + 1, len(wanted))
            if check is not None:
                check(Path(temporary))
            for prefix in prefixes:
                _move(Path(temporary) / prefix, into / prefix)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise UserError(f"{archive} is damaged ({error}); delete it") from error
    except OSError as error:
        raise UserError(f"{archive} cannot be unpacked into {into} ({error})") from error


def _refuse_escapes(archive: Path, members: list[_Member]) -> None:
    for member in members:
        path = PurePosixPath(member.name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise UserError(f"{archive} is refused: it would write to {member.name}")


def _check(archive: Path, wanted: list[_Member], into: Path) -> None:
    if not wanted:
        raise UserError(f"{archive} does not hold what it should; delete it")
    size = sum(member.size for member in wanted)
    free = shutil.disk_usage(into).free
    if size > free:
        raise UserError(
            f"{into} has {free / 1e9:.1f} GB left, unpacking {archive.name} takes "
            f"{size / 1e9:.1f} GB; name another folder with paths.cache_dir=..."
        )


def _move(source: Path, target: Path) -> None:
    if not source.is_dir():
        return  # only one of several spellings is in the archive
    if target.is_dir():
        shutil.rmtree(target)  # an incomplete one, or nobody would have asked for it
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """The plain files of an archive, sorted as they lie in it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield [
                _Member(info.filename, info.file_size, partial(zipped.open, info))
                for info in zipped.infolist()
                if not info.is_dir()
            ]
        return
    with tarfile.open(archive) as tar:
        yield [
            _Member(info.name.removeprefix("./"), info.size, partial(_open, tar, info))
            for info in tar
            if info.isfile()
        ]


def _open(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None  # it is a plain file
    return file
