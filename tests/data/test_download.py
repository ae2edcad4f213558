"""Downloads from a server on this machine that breaks connections off."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sr_experiments.data.download import ResumingDownloader, fetch
from sr_experiments.data.sources import Archive
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from conftest import BreakingServer

CONTENT = np.random.default_rng(1).bytes(1_000_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_experiments.data.download.time.sleep", lambda seconds: None)


def archive(server: "BreakingServer", checksum: str | None = SHA256) -> Archive:
    return Archive(server.url, checksum, ("set/",))


def test_a_download_goes_on_where_it_broke_off(server: "BreakingServer", tmp_path: Path) -> None:
    server.content, server.breaks = CONTENT, [300_000, 400_000]
    seen: list[tuple[int, int | None]] = []
    path = fetch(archive(server), tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert server.requests[0] is None
    starts = [int(str(header)[6:-1]) for header in server.requests[1:]]
    assert len(starts) == 2
    assert 200_000 < starts[0] <= 300_000
    assert 500_000 < starts[1] <= 700_000
    assert seen[-1] == (1_000_000, 1_000_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert [item.name for item in tmp_path.iterdir()] == ["set.zip"]


def test_a_second_process_goes_on_too(server: "BreakingServer", tmp_path: Path) -> None:
    server.content, server.breaks = CONTENT, [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(UserError, match=r"\d{6} bytes are here, and the same command goes on"):
        fetch(archive(server), tmp_path)
    kept = (tmp_path / "set.zip.part").stat().st_size
    assert 200_000 < kept <= 300_000
    server.breaks, server.requests = [], []
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.requests == [f"bytes={kept}-"]


def test_a_complete_part_is_not_fetched_again(server: "BreakingServer", tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.requests == ["bytes=1000000-"]


def test_a_server_without_ranges_starts_again(server: "BreakingServer", tmp_path: Path) -> None:
    server.content, server.breaks, server.ranges = CONTENT, [300_000], False
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_halves_of_two_versions_are_never_joined(server: "BreakingServer", tmp_path: Path) -> None:
    server.content, server.breaks = bytes(1_000_000), [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(UserError, match=r"\d{6} bytes are here"):
        fetch(archive(server, checksum=None), tmp_path)
    server.content, server.tag, server.breaks = CONTENT, '"second"', []
    assert fetch(archive(server, checksum=None), tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(server: "BreakingServer", tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "set.zip.part").write_bytes(bytes(2_000_000))
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_here_is_not_fetched(server: "BreakingServer", tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "set.zip").write_bytes(CONTENT)
    fetch(archive(server), tmp_path)
    assert server.requests == []


def test_another_file_than_the_published_one_is_refused(
    server: "BreakingServer", tmp_path: Path
) -> None:
    server.content = b"malicious" * 1000
    with pytest.raises(UserError, match="is not what it should be"):
        fetch(archive(server), tmp_path)
    assert not (tmp_path / "set.zip").exists()


@pytest.mark.parametrize("status", [404, 403])
def test_a_refusal_is_final(server: "BreakingServer", tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        fetch(archive(server), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [503, 429])
def test_an_overloaded_server_is_asked_again(
    server: "BreakingServer", tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        fetch(archive(server), tmp_path)
    assert len(server.requests) == 5


def test_a_server_that_is_not_there_is_explained(server: "BreakingServer", tmp_path: Path) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"(?s)cannot be reached .* put the file here by hand"):
        fetch(Archive(url, None, ("set/",)), tmp_path)


def test_a_full_disk_is_noticed_before_the_download(
    server: "BreakingServer", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = CONTENT
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("sr_experiments.data.download.shutil.disk_usage", lambda path: full)
    with pytest.raises(UserError, match=r"paths\.cache_dir"):
        ResumingDownloader(tmp_path / "set.part")(server.url, tmp_path / "set", None)
