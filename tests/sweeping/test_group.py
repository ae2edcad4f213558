"""Jobs of a sweep that train as one batched network leave the run folders of each alone."""

import csv
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sr_experiments import train
from sr_experiments.__main__ import main
from sr_experiments.callbacks import Checkpoints
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.sweeping import group, job, sweep
from sr_experiments.sweeping.apart import unwrapped
from sr_experiments.sweeping.group import groups, require_group, train_together
from sr_experiments.training.alike import check_alike, differences
from sr_experiments.training.job import Job

HERE = Path(__file__).resolve().parent
TINY = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.patch=16",
    "data.steps_per_epoch=3",
    "data.test=[]",
    "trainer.epochs=2",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
TIMES = re.compile("time/|seconds|latency|ms|environment")
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sr_experiments.reporting.finish.LATENCY_RUNS", 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def job_in(outputs: Path, cache: Path, *words: str) -> Job:
    """A job of a sweep."""
    given = {word.partition("=")[0] for word in words}
    tiny = [word for word in TINY if word.partition("=")[0] not in given]
    line = [*tiny, f"paths.output_dir={outputs}", f"paths.cache_dir={cache}", *words]
    return Job(*check_with_choices(line), line, ("seeds", words[0]))


@pytest.fixture
def make(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    return partial(job_in, tmp_path, tmp_path_factory.getbasetemp() / "cache")


RUNS = (["seed=1"], ["seed=2", "optimizer.lr=0.0005"])


def folder(task: Job) -> RunFolder:
    assert task.sweep is not None
    return RunFolder(task.outputs / task.sweep[0] / task.sweep[1])


def assert_same_run(one: RunFolder, other: RunFolder) -> None:
    """The same files, curves and weights, but for rounding and for what a clock measured."""
    files = [
        {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
        for run in (one, other)
    ]
    assert files[0] == files[1]
    assert {"report.html", "model_int8.tflite", "checkpoints/last.ckpt"} <= files[0]
    rows = one.metrics(), other.metrics()
    assert len(rows[0]) == len(rows[1]) == 2
    for mine, theirs in zip(*rows, strict=True):
        assert mine.keys() == theirs.keys()
        for name, cell in mine.items():
            if not TIMES.search(name):
                same = cell if name == "stage" else pytest.approx(float(cell), rel=1e-3, abs=1e-3)
                assert (theirs[name] if name == "stage" else float(theirs[name])) == same, name
    assert one.summary().keys() == other.summary().keys()
    weights = [load_file(run.path / "model.safetensors") for run in (one, other)]
    for name, values in weights[0].items():
        torch.testing.assert_close(values, weights[1][name], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """The runs one by one."""
    outputs, cache = tmp_path_factory.mktemp("alone"), tmp_path_factory.getbasetemp() / "cache"
    jobs = [job_in(outputs, cache, *run) for run in RUNS]
    for task in jobs:
        train.run(task)
    return [folder(task) for task in jobs]


def test_jobs_that_train_together_leave_the_folders_of_each_alone_also_when_stopped(
    make: Callable[..., Job],
    alone: list[RunFolder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs = [make(*run) for run in RUNS]
    # Told to stop when the first job has saved its first epoch: each ends where it is.
    stop = Checkpoints.save
    with monkeypatch.context() as patch:

        def save(self: Checkpoints, *arguments: Any) -> None:
            stop(self, *arguments)
            patch.setattr(Checkpoints, "save", stop)
            os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(Checkpoints, "save", save)
        ends = train_together(jobs)
    assert ends == [("interrupted", None)] * 2
    assert [folder(task).status() for task in jobs] == ["interrupted"] * 2
    assert "stopped by SIGTERM" in str(folder(jobs[1]).summary()["reason"])
    assert not folder(jobs[0]).in_use()
    capsys.readouterr()

    assert [kind for kind, _ in train_together(jobs)] == ["value", "value"]
    told = capsys.readouterr().out
    assert "seed=1: going on from" in told
    assert "seed=2: epoch 2/2" in told
    for task, other in zip(jobs, alone, strict=True):
        assert_same_run(folder(task), other)


def test_a_job_that_fails_leaves_the_others_to_go_on_and_is_taken_up_alone(
    make: Callable[..., Job],
    alone: list[RunFolder],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.syspath_prepend(HERE)
    struck = (
        "+callbacks.loose={_target_: misfortunes.Misfortune, seed: ${seed}, kind: raise, only: 2, "
        f"epoch: 1, once: '{tmp_path / 'once'}'}}"
    )
    jobs = [make(*run, struck, "trainer.steps_per_batch=2") for run in RUNS]
    good, bad = train_together(jobs)
    assert unwrapped(good)["status"] == "finished"
    assert bad == ("failed", "RuntimeError: a wire came loose")
    assert folder(jobs[1]).summary()["reason"] == "a wire came loose"
    train.run(jobs[1])  # from the batched run's checkpoint, by itself
    for task, other in zip(jobs, alone, strict=True):
        assert_same_run(folder(task), other)


def here(function: Callable[..., object], *arguments: Any) -> object:
    """In place of a process."""
    return function(*arguments)


def test_a_sweep_trains_what_is_alike_together_and_the_rest_one_by_one(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (group, job, sweep):
        monkeypatch.setattr(module, "call_apart", here)
    monkeypatch.setattr(sys, "argv", ["sr_experiments"])
    cache = tmp_path_factory.getbasetemp() / "cache"
    tiny = [word for word in TINY if not word.startswith("trainer.epochs")]
    words = [
        "-m", "hydra/launcher=batched", "trainer.epochs=1", "quantization=none", *tiny,
        f"paths.output_dir={tmp_path}", f"paths.cache_dir={cache}", "seed=1,2,3",
    ]  # fmt: skip
    main([*words, "hydra.launcher.runs=2"])
    told = capsys.readouterr().out
    assert "seed=1, seed=2 train as one batched network\n" in told
    assert "seed=3 trains alone" in told
    with (tmp_path / "multirun" / "summary.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished"] * 3
    log = (tmp_path / "multirun" / "jobs.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in log] == [
        *("started", "started", "finished", "finished"),
        *("started", "finished"),
    ]

    main(words)
    assert "as one batched network" not in capsys.readouterr().out
    strict = [*words[:-1], "seed=1", "data.patch=16,12", "hydra.launcher.strict=true"]
    with pytest.raises(SystemExit):
        main([word for word in strict if word != "data.patch=16"])
    assert "data.patch=16 and data.patch=12\nnothing was started" in capsys.readouterr().err


def test_jobs_are_grouped_by_what_they_share_and_no_group_is_too_large(
    make: Callable[..., Job],
) -> None:
    rates = [make(f"seed={seed}", f"optimizer.lr={seed / 1000}") for seed in (1, 2, 3)]
    schedule = make("seed=1", "scheduler=cosine", "loss=l1")
    other = make("model.channels=8", "seed=4")
    listed = [rates[0], other, *rates[1:], schedule]
    assert groups(listed, None) == [[*rates, schedule], [other]]
    assert groups(listed, 2) == [rates[:2], [other], [rates[2], schedule]]
    assert differences(rates[0], other) == ["model.channels=4 and model.channels=8"]


def test_what_cannot_train_together_is_refused_naming_the_keys(
    make: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "call_apart", here)
    told = "data.patch=16 and data.patch=12\nnothing was started"
    with pytest.raises(UserError, match=told):
        require_group([make("seed=1"), make("seed=2"), make("seed=3", "data.patch=12")])
    with pytest.raises(UserError, match=r"strict=true: quantization=qat trains one by one"):
        require_group([make("seed=1", "quantization=qat")])
    require_group([make("seed=1"), make("seed=2")])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed"),
        (["trainer.compile=auto"], "trainer.compile=auto"),
        (["callbacks=channel_ranker"], "callbacks=channel_ranker"),
        (["task=gan"], "task=gan"),
        (["model=swift_srgan", "scale=4", "model.channels=8"], "keeps running means"),
    ],
)
def test_what_batching_would_change_is_named(
    make: Callable[..., Job], words: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        check_alike(make(*words))
