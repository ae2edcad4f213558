"""Whole runs on a GPU: blocks as CUDA graphs, INT8 beside the training, a GAN in fp16."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sr_experiments import train
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.job import Job

DEVICE = "cuda"
GAN = [
    "task=gan",
    "loss.terms.features.weight=0",  # its network's weights may not be here
    "discriminator=srgan",
    "discriminator.width=0.0625",
    "discriminator.pool=1",
    "discriminator.hidden=4",
]
MakeJob = Callable[..., Job]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]


def run(make_job: MakeJob, folder: Path, *words: str) -> RunFolder:
    """What a run leaves."""
    words = (f"trainer.accelerator={DEVICE}", "data.steps_per_epoch=6", *words)
    train.run(make_job(folder, *words))
    (path,) = (folder / "out").glob("*/*")
    return RunFolder(path)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    loaded = torch.load(folder.last_checkpoint, map_location="cpu", weights_only=True)
    state: dict[str, torch.Tensor] = loaded["state_dict"]
    return state


def test_blocks_train_as_single_steps_do_and_every_epoch_has_its_int8_number(
    make_job: MakeJob, tmp_path: Path
) -> None:
    words = [
        "trainer.epochs=3",
        "optimizer=adam",
        "scheduler=cosine",
        "callbacks.int8_drop.every=1",
    ]
    plain, blocks = (
        run(make_job, tmp_path / str(steps), *words, f"trainer.steps_per_batch={steps}")
        for steps in (1, 4)
    )
    for name, values in weights(plain).items():
        torch.testing.assert_close(weights(blocks)[name], values, rtol=1e-2, atol=1e-3)
    for one, other in zip(plain.metrics(), blocks.metrics(), strict=True):
        assert one["iteration"] == other["iteration"]
        assert float(other["val_int8/psnr"]) == pytest.approx(float(one["val_int8/psnr"]), abs=0.1)


def test_a_gan_in_fp16_moves_both_networks_and_keeps_its_scale(
    make_job: MakeJob, tmp_path: Path
) -> None:
    folder = run(make_job, tmp_path, *GAN, "trainer.epochs=2", "trainer.precision=16-mixed")
    state = torch.load(folder.last_checkpoint, map_location="cpu", weights_only=True)
    assert state["MixedPrecision"]["scale"] > 0
    for row in folder.metrics():
        assert math.isfinite(float(row["train/loss"]))
        assert math.isfinite(float(row["val/int8_drop"]))
    first, second = (float(row["train/discriminator/loss"]) for row in folder.metrics())
    assert first != second
