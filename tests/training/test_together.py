"""A run in two processes computes what it does in one, leaves one folder, and ends as one."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.stages import plan
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.job import Job
from sr_experiments.training.preflight import preflight

TINY = [
    "data.batch_size=4",
    "data.patch=12",
    "data.steps_per_epoch=3",
    "data.test=[photos:test]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
# Adam would make steps of the noise that is the gradient of a bias before a batch norm.
STEPS = ["optimizer=sgd", "scheduler=constant", "trainer.epochs=2"]
# Batch norm, ranges that follow each batch, an FP32 twin, averaged weights, a clipped gradient.
REGRESSION = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "model.block=dbb",
    "quantization=qat",
    "quantization.decay=0.5",
    "quantization.freeze_at=1",
    "task.ema_decay=0.5",
    "trainer.gradient_clip=0.1",
    "optimizer.lr=0.1",
    *STEPS,
]
GAN = [
    "task=gan",
    "model=swift_srgan",
    "model.channels=4",
    "model.num_blocks=1",
    "scale=2",
    "loss.terms.features.weight=0",  # its network's weights may not be here
    "discriminator=srgan",
    "discriminator.width=0.0625",
    "discriminator.pool=1",
    "discriminator.hidden=4",
    "optimizer@task.discriminator_optimizer=sgd",
    *STEPS,
]
TROUBLE = """
import os, signal
import lightning.pytorch as pl

class Trouble(pl.Callback):
    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        kind, *place = os.environ["TROUBLE"].split() or [""]
        if place != [str(trainer.global_rank), str(task.iteration)]:
            return
        if kind == "raise":
            raise RuntimeError("a wire came loose")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, *words: str, trouble: str | None = None) -> subprocess.CompletedProcess[str]:
    """Start a run; ``trouble`` is what befalls which process before which batch."""
    folder.mkdir(exist_ok=True)
    if trouble is not None:
        words = (*words, "+callbacks.trouble={_target_: trouble.Trouble}")
    (folder / "trouble.py").write_text(TROUBLE)
    places = [f"paths.output_dir={folder / 'out'}", f"paths.cache_dir={folder / 'cache'}"]
    return subprocess.run(
        [sys.executable, "-m", "sr_experiments", *TINY, *words, *places],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
            "TROUBLE": trouble or "",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        },
    )


def only_run(folder: Path) -> RunFolder:
    (path,) = (folder / "out" / "run").iterdir()
    return RunFolder(path)


def state(folder: RunFolder) -> dict[str, torch.Tensor]:
    loaded = torch.load(folder.last_checkpoint, map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = loaded["state_dict"]
    return weights


@pytest.mark.parametrize("words", [REGRESSION, pytest.param(GAN, marks=pytest.mark.slow)])
def test_two_processes_give_the_weights_of_one_as_jobs_of_a_sweep(
    words: list[str], tmp_path: Path
) -> None:
    ended = run(tmp_path, "-m", "trainer.devices=1,2", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    one, two = (
        RunFolder(tmp_path / "out" / "multirun" / f"trainer.devices={count}") for count in (1, 2)
    )
    assert {path.name for path in one.path.iterdir()} == {path.name for path in two.path.iterdir()}
    alone, shared = state(one), state(two)
    assert alone.keys() == shared.keys()
    for name, value in alone.items():
        assert torch.allclose(value, shared[name], rtol=1e-3, atol=1e-5), name
    assert any(name.endswith("running_var") for name in alone)
    rows, others = one.metrics(), two.metrics()
    assert [row["iteration"] for row in others] == ["3", "6"]
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for name in ("train/loss", "val/psnr", "val_int8/psnr"):
            assert float(other[name]) == pytest.approx(float(row[name]), rel=1e-3)
    environment = json.loads((two.path / "environment.json").read_text())
    assert environment["execution"]["processes"] == 2
    with (tmp_path / "out" / "multirun" / "summary.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished", "finished"]


@pytest.mark.slow
def test_a_killed_run_goes_on_in_both_processes_to_the_same_weights(tmp_path: Path) -> None:
    """Two stages, killed in each, one process or the other."""
    stages = (
        "stages=[{name: fp32, epochs: 2, overrides: ['quantization=none']}, "
        "{name: int8, epochs: 2, overrides: ['quantization=qat', 'optimizer.lr=1e-4']}]"
    )
    words = [*REGRESSION[:4], "task.ema_decay=0.5", "trainer.devices=2", "run_name=run", stages]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, *words, trouble="").returncode == 0
    for rank, batch in ((0, 4), (1, 8), (0, 10)):
        ended = run(killed, *words, trouble=f"kill {rank} {batch}")
        assert ended.returncode == (1 if rank else -signal.SIGKILL), ended.stderr
        assert only_run(killed).status() == ("failed" if rank else "running")
        assert alone(only_run(killed))
        if rank:
            assert "process 1 of the run, from 0, was ended by SIGKILL" in ended.stderr
    assert run(killed, *words, trouble="").returncode == 0
    expected, found = state(only_run(whole)), state(only_run(killed))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    assert [row["epoch"] for row in only_run(killed).metrics()] == ["0", "1", "2", "3"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_in_one_process_ends_both_with_its_reason(rank: int, tmp_path: Path) -> None:
    words = [*REGRESSION, "trainer.devices=2", "run_name=run"]
    ended = run(tmp_path, *words, trouble=f"raise {rank} 4")
    assert ended.returncode == 1
    assert only_run(tmp_path).status() == "failed"
    assert "a wire came loose" in only_run(tmp_path).summary()["reason"]
    assert alone(only_run(tmp_path))


def alone(folder: RunFolder) -> bool:
    """Whether, soon, no process has the run's words on its command line or in its memory."""
    until = time.monotonic() + 300
    while folder.in_use() and time.monotonic() < until:
        time.sleep(0.1)
    return not folder.in_use()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trainer.devices=0"], "trainer.devices=0 is not a whole number from 1"),
        (["trainer.devices=3"], "data.batch_size=4 cannot be divided among trainer.devices=3"),
        (
            ["trainer.devices=4", "task=gan", "loss.terms.features.weight=0", "task.accumulate=4"],
            "task.accumulate=4 does not divide the 1 crops",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_starts(
    words: list[str], said: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        preflight(make_job(tmp_path, "data.batch_size=4", *words))


def test_tasks_that_train_in_one_process_say_so() -> None:
    words = ["trainer.devices=2", "task=gradient_study"]
    with pytest.raises(UserError, match="task=gradient_study trains in one process"):
        preflight(Job(*check_with_choices(words), words))


def test_the_number_of_processes_is_of_the_run() -> None:
    with pytest.raises(UserError, match=r"trainer.devices is of the whole run"):
        plan(["stages=[{name: all, epochs: 1, overrides: ['trainer.devices=2']}]"])
