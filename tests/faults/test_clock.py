"""A clock that is set back or forth: the order of runs, durations, and nothing else goes by it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sr_experiments import train
from sr_experiments.reporting import run_folder
from sr_experiments.reporting.run_folder import RunFolder

CONFIG = {"model": "xlsr"}


def set_clock(patch: pytest.MonkeyPatch, year: int) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls(year, 5, 17, 12)

    patch.setattr(run_folder, "datetime", Clock)


@pytest.mark.parametrize("years", [(2099, 2026, 2001), (2001, 2026, 2099), (2026, 2099, 2026)])
def test_the_run_that_began_last_is_the_newest_whatever_the_clock_said(
    years: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for year in years:
        set_clock(monkeypatch, year)
        runs.append(RunFolder.choose(tmp_path, CONFIG, resume=False))
        runs[-1].unlock()
    assert [run.path.name[:4] for run in runs] == [str(year) for year in years]
    for run in reversed(runs):
        found = RunFolder.choose(tmp_path, CONFIG, resume=True)
        assert found.path == run.path
        found.write_summary({"status": "finished"})
        found.unlock()


def test_more_than_nine_runs_of_one_second_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, 2026)
    for _ in range(11):
        last = RunFolder.choose(tmp_path, CONFIG, resume=False)
        last.unlock()
    assert last.path.name.endswith("_11")
    assert RunFolder.choose(tmp_path, CONFIG, resume=True).path == last.path


def test_runs_without_a_number_are_older_than_those_with_one(tmp_path: Path) -> None:
    for name in ("2099-01-01_00-00-00", "2098-01-01_00-00-00"):
        old = RunFolder(tmp_path / name)
        old.path.mkdir()
        old.write_config(CONFIG)
    new = RunFolder.choose(tmp_path, CONFIG, resume=False)
    new.unlock()
    assert RunFolder.choose(tmp_path, CONFIG, resume=True).path == new.path
    new.write_summary({"status": "finished"})
    found = RunFolder.choose(tmp_path, CONFIG, resume=True)
    assert found.path.name == "2099-01-01_00-00-00"


def test_a_clock_that_jumps_under_a_run_changes_no_duration(
    make_job: Callable[..., train.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = iter([-1, 4000, 3, -800] * 100_000)
    real, now, began = time.time, datetime.now, time.perf_counter()
    monkeypatch.setattr(time, "time", lambda: real() + 86400 * next(days))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return now() + timedelta(next(days))

    monkeypatch.setattr(run_folder, "datetime", Clock)
    summary = train.run(make_job(tmp_path, "trainer.epochs=2"))
    took = time.perf_counter() - began
    assert summary["status"] == "finished"
    assert 0 <= summary["train"]["seconds"] < took  # rounded to a tenth
    (run,) = (tmp_path / "out").glob("*/*")
    rows = RunFolder(run).metrics()
    times = [float(row[key]) for row in rows for key in row if key.startswith("time/")]
    assert len(times) >= 4
    assert all(0 < value < took for value in times)
