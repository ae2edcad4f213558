"""A disk that is full, and one that cannot be written: a clear word, and nothing lost."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from whole import check_files, leftovers, outcome, run_of

from sr_experiments import export, files, report, train, upscale
from sr_experiments.callbacks.checkpoints import Checkpoints
from sr_experiments.configuration.entry import run_verb
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder

MakeJob = Callable[..., train.Job]
WORDS = ("trainer.epochs=3", "data.test=[photos:test]")


def fill(disk: Path, left: int) -> None:
    """Leave but ``left`` bytes; the ballast is a file of its own."""
    with (disk / "ballast").open("ab", buffering=0) as file:
        space = os.statvfs(disk)
        file.write(bytes(space.f_bavail * space.f_frsize - left))


def when(place: str, disk: Path, left: int, patch: pytest.MonkeyPatch) -> None:
    """Fill the disk in the second epoch, or at the end, just before something is written."""
    owner = {"append_metrics": RunFolder, "on_train_epoch_end": Checkpoints}.get(place, train)
    function, calls = getattr(owner, place), []

    def filled(*args: object) -> object:
        calls.append(place)
        if len(calls) == 2 or owner is train:
            fill(disk, left)
        return function(*args)

    patch.setattr(owner, place, filled)


@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("on_train_epoch_end", 8192),
        pytest.param("on_train_epoch_end", 0, marks=pytest.mark.slow),
        pytest.param("append_metrics", 0, marks=pytest.mark.slow),
        pytest.param("_finish", 100_000, marks=pytest.mark.slow),
        pytest.param("write_page", 4096, marks=pytest.mark.slow),
    ],
)
def test_a_run_on_a_disk_that_fills_up_goes_on_once_there_is_room(
    place: str,
    left: int,
    disk: Path,
    make_job: MakeJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make_job(tmp_path / "whole", *WORDS)
    train.run(whole)
    job = make_job(disk, *WORDS)
    with monkeypatch.context() as patch:
        when(place, disk, left, patch)
        with pytest.raises(UserError, match=r"No space left on device; make room there, and the"):
            train.run(job)
    run = run_of(job)
    assert check_files(run.path) >= 5
    assert run.status() in ("running", "failed")
    (disk / "ballast").unlink()
    train.run(job)
    assert outcome(run) == outcome(run_of(whole))
    assert not leftovers(run.path)


def test_a_line_is_added_whole_or_not_at_all(disk: Path) -> None:
    table = disk / "metrics.csv"
    files.append_line(table, "a" * 4000 + "\n")
    fill(disk, 0)
    with pytest.raises(OSError, match="No space left on device"):
        files.append_line(table, "b" * 400 + "\n")  # 95 of them fit into the file's page
    assert table.read_text() == "a" * 4000 + "\n"
    (disk / "ballast").unlink()
    files.append_line(table, "c\n")
    assert table.read_text().endswith("a\nc\n")


def test_what_is_written_anew_keeps_its_old_content_on_a_full_disk(disk: Path) -> None:
    file = disk / "summary.json"
    files.write_json(file, {"status": "running"})
    fill(disk, 4096)
    with pytest.raises(OSError, match="No space left on device"):
        files.write_json(file, {"status": "x" * 20_000})
    assert file.read_text() == '{\n  "status": "running"\n}\n'
    assert [path.name for path in disk.iterdir() if path.name != "ballast"] == ["summary.json"]


def test_nothing_is_lost_in_a_folder_that_cannot_be_written(
    disk: Path,
    make_job: MakeJob,
    cut: Callable[[train.Job, int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = make_job(disk, "trainer.epochs=2")
    cut(job, 4)
    run = run_of(job)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    photo = tmp_path / "photo.png"
    Image.new("RGB", (16, 16), "teal").save(photo)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UserError, match=r"paths.output_dir=.*Read-only file system"):
        train.run(job)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert train.run(job)["status"] == "finished"
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for verb, words in (
        (report.main, [f"runs=[{run.path}]", f"output={disk / 'page.html'}"]),
        (export.main, [f"run={run.path}", f"output={disk / 'exported'}"]),
        (upscale.main, [f"run={run.path}", f"input={photo}", f"output={disk / 'big.png'}"]),
    ):
        with pytest.raises(SystemExit) as ended:
            run_verb(lambda verb=verb, words=words: verb(words))
        assert ended.value.code == 2
        assert "Read-only file system" in capsys.readouterr().err, verb
