from pathlib import Path

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from sr_experiments.callbacks.int8_drop import Int8Drop, measure
from sr_experiments.data import SRData
from sr_experiments.losses import Charbonnier
from sr_experiments.models import ABPN
from sr_experiments.optim import Constant
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.tasks import RegressionTask


@pytest.fixture
def task(tmp_path_factory: pytest.TempPathFactory) -> RegressionTask:
    torch.manual_seed(0)
    data = SRData(
        ["photos:train"],
        ["photos:val"],
        ["photos:test"],
        3,
        cache_dir=tmp_path_factory.getbasetemp() / "cache",
    )
    # ABPN begins as nearest neighbour plus a little: a picture, before any training.
    return RegressionTask(
        ABPN(), Charbonnier(), data, torch.optim.Adam, Constant, total_steps=1
    ).eval()


def test_the_number_is_of_the_bytes_in_the_file(task: RegressionTask) -> None:
    file = Int8Drop(PostTraining()).file(task)
    buffers = schema.ModelT.InitFromPackedBuf(file, 0).buffers
    weights = max((bytes(item.data) for item in buffers if item.data is not None), key=len)
    assert len(weights) == 28 * 28 * 9
    changed = bytearray(file)
    changed[file.index(weights) + len(weights) // 2] ^= 0x40
    assert measure(bytes(changed), task.data, 1) != measure(file, task.data, 1)


def test_the_callback_reads_the_live_weights(task: RegressionTask) -> None:
    callback = Int8Drop(PostTraining())
    before = callback.file(task)
    with torch.no_grad():
        next(task.network.parameters()).mul_(1.5)
    assert callback.file(task) != before


def test_a_file_of_a_photo_network_costs_little(task: RegressionTask, tmp_path: Path) -> None:
    from sr_experiments.functional.pixels import to_float, to_uint8
    from sr_experiments.metrics import psnr_rgb

    _, low_res, high_res = task.data.val_pairs()[0]
    with torch.no_grad():
        picture = to_uint8(task(to_float(low_res)[None])[0])
    fp32 = psnr_rgb(picture, high_res, 3)
    int8 = measure(Int8Drop(PostTraining()).file(task), task.data, 1)
    assert abs(fp32 - int8) < 0.5
