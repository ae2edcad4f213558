"""What a sweep does around its jobs; they themselves are played by a function."""

import csv
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from sr_experiments.__main__ import main
from sr_experiments.configuration.compose import check
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.sweeping import job, sweep
from sr_experiments.sweeping.apart import DiedError
from sr_experiments.sweeping.grid import Naming
from sr_experiments.sweeping.objective import answer, no_answer
from sr_experiments.training.job import Job

Played = Callable[[Job, RunFolder], Mapping[str, Any]]


def good(task: Job, folder: RunFolder) -> Mapping[str, Any]:
    return {"status": "finished", "stages": [{"val/psnr": 30.0 + task.config.seed}]}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Start ``-m seed=1,2,3`` with played jobs; seeds that were trained, in their order."""

    def started(*words: str, played: Played = good) -> list[int]:
        trained = []

        def call(function: Callable[..., object], task: Job) -> object:
            if function is sweep._check:
                return ""
            assert task.sweep is not None
            folder = RunFolder.choose(
                Path(task.config.paths.output_dir, task.sweep[0]),
                task.resolved,
                resume=task.config.resume,
                name=task.sweep[1],
            )
            try:
                trained.append(int(task.config.seed))
                folder.write_summary(played(task, folder))
                return folder.summary()
            finally:
                folder.unlock()

        monkeypatch.setattr(job, "call_apart", call)
        monkeypatch.setattr(sweep, "call_apart", call)
        monkeypatch.setattr(sys, "argv", ["sr_experiments"])
        main(["-m", "seed=1,2,3", f"paths.output_dir={tmp_path}", *words])
        return trained

    return started


def events(folder: Path) -> list[tuple[str, str]]:
    """Job and event of every line of the log, without its first start's."""
    lines = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    return [(line["job"], line["event"]) for line in lines if line["start"] != lines[0]["start"]]


def failing(*seeds: int, error: Exception) -> Played:
    def played(task: Job, folder: RunFolder) -> Mapping[str, Any]:
        if task.config.seed in seeds:
            raise error
        return good(task, folder)

    return played


def test_a_second_start_repeats_nothing_that_is_finished_and_runs_the_rest(
    start: Callable[..., list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        start(played=failing(2, error=DiedError("its process was ended by SIGKILL")))
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert "1 of 3 jobs failed" in told.err
    assert "seed=2: its process was ended by SIGKILL" in told.err
    summary = RunFolder(tmp_path / "multirun" / "seed=2").summary()
    assert (summary["status"], summary["reason"]) == ("failed", "its process was ended by SIGKILL")
    assert (tmp_path / "multirun" / "summary.csv").read_text().count("finished") == 2
    assert start() == [2]
    assert (tmp_path / "multirun" / "summary.csv").read_text().count("finished") == 3
    assert events(tmp_path / "multirun") == [
        ("seed=1", "finished before"),
        ("seed=2", "started"),
        ("seed=2", "finished"),
        ("seed=3", "finished before"),
    ]


def test_what_fails_before_a_job_has_its_process_is_a_row_of_the_table_too(
    start: Callable[..., list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmade(config: DictConfig, *rest: Any) -> Job:
        if config.seed == 2:
            raise OSError("stale file handle")
        return Job(config, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(job, "Job", unmade)
        with pytest.raises(SystemExit) as ended:
            start()
    assert ended.value.code == 1
    with (tmp_path / "multirun" / "summary.csv").open(newline="") as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    assert [rows[f"seed={seed}"]["status"] for seed in (1, 2, 3)] == [
        "finished",
        "failed",
        "finished",
    ]
    assert rows["seed=2"]["reason"] == "OSError: stale file handle"
    assert start() == [2]


def test_a_job_of_changed_configuration_is_run_and_its_old_result_kept(
    start: Callable[..., list[int]], tmp_path: Path
) -> None:
    assert start() == [1, 2, 3]
    assert start("optimizer.lr=1e-4") == [1, 2, 3]
    assert start("optimizer.lr=1e-4", "fail_fast=true") == []  # no part of the experiment
    assert start("optimizer.lr=1e-4", "resume=false") == [1, 2, 3]
    assert len(list((tmp_path / "multirun" / "earlier").iterdir())) == 6


def test_fail_fast_starts_no_job_after_one_that_failed(
    start: Callable[..., list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        start("fail_fast=true", played=failing(2, error=UserError("the loss became nan")))
    assert ended.value.code == 1
    assert "1 were left out (fail_fast=true)" in capsys.readouterr().err
    assert not (tmp_path / "multirun" / "seed=3").exists()


def test_jobs_in_use_are_passed_over(
    start: Callable[..., list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    other = RunFolder(tmp_path / "multirun" / "seed=1")
    other.write_summary({"status": "running"})
    assert other.lock()
    try:
        assert start() == []
    finally:
        other.unlock()
    assert "1 of 3 jobs are in use by another process" in capsys.readouterr().out
    table = (tmp_path / "multirun" / "summary.csv").read_text()
    assert "seed=1,running" in table  # the table was written while the other one trained
    assert table.count("finished") == 2


def test_ctrl_c_ends_the_sweep_and_its_table_has_what_there_is(
    start: Callable[..., list[int]], tmp_path: Path
) -> None:
    def interrupted(task: Job, folder: RunFolder) -> Mapping[str, Any]:
        if task.config.seed == 2:
            folder.write_summary({"status": "interrupted", "reason": "KeyboardInterrupt"})
            raise KeyboardInterrupt
        return good(task, folder)

    with pytest.raises(SystemExit) as ended:
        start(played=interrupted)
    assert ended.value.code == 130
    assert not (tmp_path / "multirun" / "seed=3").exists()
    rows = (tmp_path / "multirun" / "summary.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["seed=1", "finished"],
        ["seed=2", "interrupted"],
    ]
    assert start() == [2, 3]


def test_two_jobs_never_share_a_name() -> None:
    plain = Naming.of([["data.test=[a]", "seed=1"], ["data.test=[a]", "seed=2"]])
    assert plain.job(["seed=1", "data.test=[a]"]) == "seed=1"
    alike = [["data.test=[a,b]"], ["data.test=a,b"]]  # both lose what no file name should have
    naming = Naming.of(alike)
    assert len({naming.job(words) for words in alike}) == 2
    again = Naming.of([["seed=1", *alike[0]], ["seed=1", *alike[0]]])
    assert not again.hashed, "the same job twice is one job"


SUMMARY = {
    "stages": [{"val/psnr": 30.0, "val_int8/psnr": 29.5}],
    "latency_ms": {"median": 12.5},
    "params": 900,
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("objective=null", 30.0),
        ("objective=val_int8/psnr", 29.5),
        ("objective=latency_ms.median", 12.5),
        ("objective=[val_int8/psnr,params]", [29.5, 900]),
    ],
)
def test_a_search_goes_by_what_objective_names(word: str, expected: float | list[float]) -> None:
    config = check([word])
    assert answer(config, SUMMARY) == expected
    assert isinstance(no_answer(config), type(expected))


def test_an_objective_that_no_job_measures_is_answered_with_those_that_it_does() -> None:
    with pytest.raises(UserError, match=r"val/psnr, val_int8/psnr"):
        answer(check(["objective=psnr"]), SUMMARY)
