"""Runs of a second: a network of a few hundred weights on tiny crops."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from sr_experiments import train
from sr_experiments.configuration.compose import check_with_choices

TINY = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.steps_per_epoch=3",
    "data.test=[]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _one_latency_run() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sr_experiments.reporting.finish.LATENCY_RUNS", 1)
        yield


@pytest.fixture(scope="session")
def make_job(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., train.Job]:
    """A job of a tiny run that writes below a folder; further words as typed."""
    cache = tmp_path_factory.getbasetemp() / "cache"

    def make(folder: Path, *words: str) -> train.Job:
        paths = [f"paths.output_dir={folder / 'out'}", f"paths.cache_dir={cache}"]
        keys = {word.partition("=")[0] for word in words}
        tiny = [word for word in TINY if word.partition("=")[0] not in keys]
        overrides = [*tiny, *paths, *words]
        return train.Job(*check_with_choices(overrides), overrides)

    return make
