"""A killed run goes on to the same weights, bit for bit, with the same command."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import os, signal, sys
from sr_experiments.tasks import RegressionTask
step = RegressionTask.training_step
def deadly(self, *args):
    if self.iteration == {iteration}:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *args)
RegressionTask.training_step = deadly
from sr_experiments.__main__ import main
main(sys.argv[1:])
"""
WORDS = [
    "trainer.epochs=3",
    "data.steps_per_epoch=12",
    "data.test=[photos:test]",
    "task.ema_decay=0.9",
    "trainer.threads=2",
]


def train(folder: Path, cache: Path, *, kill_at: int | None = None) -> int:
    words = [*WORDS, f"paths.output_dir={folder}", f"paths.cache_dir={cache}"]
    start = ["-m", "sr_experiments"] if kill_at is None else ["-c", CHILD.format(iteration=kill_at)]
    return subprocess.run(
        [sys.executable, *start, *words], stdout=subprocess.DEVNULL, check=False
    ).returncode


def only_run(folder: Path) -> Path:
    (run,) = (folder / "xlsr-x3").iterdir()
    return run


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
