"""A run folder as training leaves it, made in seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from skimage.data import chelsea

from sr_experiments.functional.pixels import to_float
from sr_experiments.functional.resize import downscale
from sr_experiments.models import XLSR, collapse
from sr_experiments.quantization import PostTraining, trace
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.shipping import ship

CONFIG = {"_target_": "sr_experiments.models.XLSR", "scale": 3}


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    """Verbs set torch's threads, as a process of their own may."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed sets, shared by the tests of the verbs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XLSR after 40 steps on one photo: rough pictures, but real weights and ranges."""
    torch.manual_seed(1)
    high_res = torch.from_numpy(chelsea()).permute(2, 0, 1)[:, :300, :450].contiguous()
    low_res = to_float(downscale(high_res, 3))
    target = to_float(high_res)
    network = XLSR(scale=3)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(40):
        y, x = (17 * step) % 60, (29 * step) % 110
        loss = (
            network(low_res[None, :, y : y + 24, x : x + 24])
            - target[None, :, 3 * y : 3 * y + 72, 3 * x : 3 * x + 72]
        ).abs()
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "xlsr-x3")
    folder.path.mkdir()
    folder.write_config({"model": CONFIG, "scale": 3, "data": {"train": ["photos:val"]}})
    quantized = PostTraining().quantize(trace(collapse(network)), low_res[None, :, :96, :96])
    ship(network, CONFIG, folder.path, quantized)
    folder.write_summary({"status": "finished", "model": "xlsr", "scale": 3})
    return folder.path
