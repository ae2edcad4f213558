"""What the tests of faults share: runs within this process, and disks of their own."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from sr_experiments import train


class PowerCutError(Exception):
    """Stands for whatever ends a run in the middle."""


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _one_latency_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_experiments.reporting.finish.LATENCY_RUNS", 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB, empty; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[train.Job, int], None]:
    """Run a job until the power fails before a batch."""

    def run(job: train.Job, iteration: int) -> None:
        from sr_experiments.tasks import RegressionTask

        step = RegressionTask.training_step

        def failing(self: RegressionTask, *args: object) -> object:
            if self.iteration == iteration:
                raise PowerCutError
            return step(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(RegressionTask, "training_step", failing)
            with pytest.raises(PowerCutError):
                train.run(job)

    return run
