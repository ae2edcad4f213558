"""Archives, honest and hostile."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from sr_experiments.data import unpacking
from sr_experiments.data.unpacking import unpack
from sr_experiments.errors import UserError


def make(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SUFFIXES = ["zip", "tar", "tgz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_what_is_wanted_is_unpacked(tmp_path: Path, suffix: str) -> None:
    archive = make(
        tmp_path / f"set.{suffix}",
        {"set/HR/a.png": b"a", "set/HR/b.png": b"b", "set/LR/a.png": b"c", "read.me": b"d"},
    )
    seen: list[tuple[int, int]] = []
    unpack(archive, tmp_path / "out", ("set/HR/",), lambda done, total: seen.append((done, total)))
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path / "out").as_posix() for path in files] == [
        "set/HR/a.png",
        "set/HR/b.png",
    ]
    assert files[0].read_bytes() == b"a"
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["../evil.png", "set/../../evil.png", "/tmp/evil.png", "set/..\\..\\evil", "C:/evil"]
)
def test_an_archive_that_writes_elsewhere_is_refused(
    tmp_path: Path, suffix: str, name: str
) -> None:
    archive = make(tmp_path / f"set.{suffix}", {"set/good.png": b"good", name: b"evil"})
    with pytest.raises(UserError, match="is refused: it would write to"):
        unpack(archive, tmp_path / "inner" / "out", ("set/",))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    archive = tmp_path / "set.tar"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("set/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        pipe = tarfile.TarInfo("set/pipe.png")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
        good = tarfile.TarInfo("./set/good.png")
        good.size = 4
        tar.addfile(good, io.BytesIO(b"good"))
    unpack(archive, tmp_path / "out", ("set/",))
    assert names(tmp_path / "out" / "set") == ["good.png"]


def test_an_incomplete_folder_is_replaced(tmp_path: Path) -> None:
    archive = make(tmp_path / "set.zip", {"set/a.png": b"a"})
    (tmp_path / "out" / "set").mkdir(parents=True)
    (tmp_path / "out" / "set" / "half.png").write_bytes(b"half")
    unpack(archive, tmp_path / "out", ("set/",))
    assert names(tmp_path / "out" / "set") == ["a.png"]


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = make(tmp_path / "set.zip", {"set/a.png": bytes(100_000), "set/b.png": b"b" * 9})
    content = bytearray(archive.read_bytes())
    content[50_000:50_010] = b"0123456789"
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"set\.zip is damaged"):
        unpack(archive, tmp_path / "out", ("set/",))
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"set.{suffix}"
    archive.write_bytes(b"<html>Moved to another place</html>")
    with pytest.raises(UserError, match="is damaged"):
        unpack(archive, tmp_path / "out", ("set/",))


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    archive = make(tmp_path / "set.zip", {"other/a.png": b"a"})
    with pytest.raises(UserError, match="does not hold what it should"):
        unpack(archive, tmp_path / "out", ("set/",))


def test_a_full_disk_is_noticed_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make(tmp_path / "set.zip", {"set/a.png": bytes(5000)})
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match=r"paths\.cache_dir"):
        unpack(archive, tmp_path / "out", ("set/",))
