"""A killed run goes on to the same weights, bit for bit, with the same command."""

import csv
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

CHILD = """
import os, signal, sys
from sr_experiments.tasks import {task} as Task
step = Task.training_step
def deadly(self, *args):
    if self.iteration == {iteration}:
        os.kill(os.getpid(), signal.{signal})
    return step(self, *args)
Task.training_step = deadly
from sr_experiments.__main__ import main
main(sys.argv[1:])
"""
WORDS = [
    "trainer.epochs=3",
    "data.steps_per_epoch=12",
    "data.test=[photos:test]",
    "task.ema_decay=0.9",
    "trainer.threads=2",
    "trainer.accelerator=cpu",
]


STAGES = [
    "data.steps_per_epoch=6",
    "data.test=[photos:test]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "model=abpn",
    "model.block=ecb",
    "stages=[{name: fp32, epochs: 2, overrides: ['loss=l1', 'quantization=none']}, "
    "{name: fused, epochs: 1, collapse: true, overrides: ['loss=mse', 'task.ema_decay=0.9']}, "
    "{name: qat, epochs: 2, overrides: ['quantization=qat', 'optimizer.lr=1e-4']}]",
]


def train(
    folder: Path,
    cache: Path,
    *,
    words: Sequence[str] = WORDS,
    kill_at: int | None = None,
    by: signal.Signals = signal.SIGKILL,
    task: str = "RegressionTask",
) -> int:
    words = [*words, f"paths.output_dir={folder}", f"paths.cache_dir={cache}"]
    start = (
        ["-m", "sr_experiments"]
        if kill_at is None
        else ["-c", CHILD.format(iteration=kill_at, task=task, signal=by.name)]
    )
    return subprocess.run(
        [sys.executable, *start, *words], stdout=subprocess.DEVNULL, check=False
    ).returncode


def only_run(folder: Path) -> Path:
    ((run,),) = [list(path.iterdir()) for path in folder.iterdir()]
    return run


def measured(folder: Path) -> list[dict[str, str]]:
    """Every row of ``metrics.csv`` without its times."""
    with (only_run(folder) / "metrics.csv").open() as file:
        return [
            {key: value for key, value in row.items() if not key.startswith("time/")}
            for row in csv.DictReader(file)
        ]


def digest(folder: Path) -> str:
    return hashlib.sha256((only_run(folder) / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert train(folder, cache) == 0
    return folder


@pytest.mark.parametrize(
    "places",
    [
        (19,),
        pytest.param((5,), marks=pytest.mark.slow),
        pytest.param((30,), marks=pytest.mark.slow),
        pytest.param((7, 17, 29), marks=pytest.mark.slow),
    ],
    ids=lambda places: "-".join(map(str, places)),
)
def test_kill_9_in_the_middle_of_an_epoch_changes_nothing(
    places: tuple[int, ...], undisturbed: Path, cache: Path, tmp_path: Path
) -> None:
    for place in places:
        assert train(tmp_path, cache, kill_at=place) == -signal.SIGKILL
        summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
        assert summary["status"] == "running"
    assert train(tmp_path, cache) == 0
    assert digest(tmp_path) == digest(undisturbed)
    rows = (only_run(tmp_path) / "metrics.csv").read_text().splitlines()
    epochs = [row.split(",")[0] for row in rows]
    assert epochs == ["epoch", "0", "1", "2"]
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["train"]["steps"] == 36


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    "by", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_middle_of_an_epoch(
    by: signal.Signals, undisturbed: Path, cache: Path, tmp_path: Path
) -> None:
    assert train(tmp_path, cache, kill_at=19, by=by) == 128 + by
    run = only_run(tmp_path)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["reason"]) == ("interrupted", f"stopped by {by.name}")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["iteration"] == 20
    assert train(tmp_path, cache) == 0
    assert digest(tmp_path) == digest(undisturbed)
    assert measured(tmp_path) == measured(undisturbed)


@pytest.mark.slow
def test_kill_9_in_any_stage_goes_on_there(cache: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(whole, cache, words=STAGES) == 0
    # In the first stage's second epoch, the folded stage, the last stage's first and second.
    for place in (8, 15, 20, 27):
        assert train(killed, cache, words=STAGES, kill_at=place) == -signal.SIGKILL
        summary = json.loads((only_run(killed) / "summary.json").read_text())
        assert summary["status"] == "running"
        over = [name for name, end in (("fp32", 12), ("fused", 18)) if end <= place]
        assert [entry["name"] for entry in summary.get("stages", [])] == over
    assert train(killed, cache, words=STAGES) == 0
    assert digest(killed) == digest(whole)
    integers = [only_run(folder) / "model_int8.tflite" for folder in (killed, whole)]
    assert integers[0].read_bytes() == integers[1].read_bytes()
    rows = (only_run(killed) / "metrics.csv").read_text().splitlines()
    axes = [",".join(row.split(",")[:3]) for row in rows[1:]]
    assert axes == ["0,6,fp32", "1,12,fp32", "2,18,fused", "3,24,qat", "4,30,qat"]


GAN = [
    "task=gan",
    "model=swift_srgan",
    "model.channels=4",
    "model.num_blocks=1",
    "discriminator.width=0.05",
    "discriminator.hidden=4",
    "discriminator.pool=1",
    "data.batch_size=4",
    "data.patch=12",
    "data.steps_per_epoch=6",
    "data.test=[]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "trainer.epochs=4",
    "task.ema_decay=0.9",
    # Only one term, of pixels: the others need weights that may not be here.
    "loss.terms.features.weight=0",
    # PSNR rises, which the discriminator's schedule takes for a stale epoch.
    "scheduler.stale_epochs=1",
    "task.monitor=train/discriminator/D_real",
    "task.discriminator_scheduler.stale_epochs=1",
    "task.discriminator_monitor=val/psnr",
]


@pytest.mark.slow
def test_signals_in_mid_epoch_change_nothing_of_a_gan(cache: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(whole, cache, words=GAN) == 0
    for place in (8, 15):  # before and after a reduction of a rate that goes by an epoch's mean
        code = train(stopped, cache, words=GAN, kill_at=place, by=signal.SIGUSR1, task="GANTask")
        assert code == 128 + signal.SIGUSR1
    assert train(stopped, cache, words=GAN) == 0
    assert digest(stopped) == digest(whole)
    assert measured(stopped) == measured(whole)


@pytest.mark.slow
def test_kill_9_before_and_after_a_reduction_changes_nothing_of_a_gan(
    cache: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(whole, cache, words=GAN) == 0
    for place in (10, 13):  # in the epoch that ends with a reduction, and in the next
        code = train(killed, cache, words=GAN, kill_at=place, task="GANTask")
        assert code == -signal.SIGKILL
    assert train(killed, cache, words=GAN) == 0
    assert digest(killed) == digest(whole)
    rows = measured(whole)
    assert measured(killed) == rows
    rates = [(row["lr/network"], row["lr/discriminator"]) for row in rows]
    assert len(rates) == 4
    assert float(rates[-1][1]) < float(rates[0][1])
    assert all("val/int8_drop" in row for row in rows)
