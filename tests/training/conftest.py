"""Runs of a second: each leaves torch's threads as they were, and times its files once."""

from collections.abc import Iterator

import pytest
import torch


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
