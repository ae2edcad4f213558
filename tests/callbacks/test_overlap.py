"""Measuring in another process gives the rows that measuring in turn gives."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sr_experiments.callbacks import Checkpoints, Int8Drop, RunRecord
from sr_experiments.configuration.compose import compose
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import Charbonnier
from sr_experiments.models import ABPN
from sr_experiments.optim import Constant
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import RegressionTask
from sr_experiments.training.trainer import make_trainer

MEASURED = ("val_int8/psnr", "val/int8_drop")
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


def fit(
    folder: Path,
    cache: Path,
    *,
    overlap: bool | str,
    epochs: int = 2,
    checkpoint: Path | None = None,
) -> tuple[list[dict[str, str]], Int8Drop]:
    """Rows of a tiny run that goes on from a checkpoint, if one is given."""
    torch.manual_seed(0)
    data = SRData(
        ["photos:train"], ["photos:val"], ["photos:test"], 3,
        batch_size=2, patch=16, steps_per_epoch=2, cache_dir=cache,
    )  # fmt: skip
    network = ABPN(channels=4, num_blocks=1)
    task = RegressionTask(
        network, Charbonnier(), data, torch.optim.Adam, Constant, total_steps=2 * epochs
    )
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    last = folder / "last.ckpt"
    callback = Int8Drop(PostTraining(), threads=1, overlap=overlap)
    callbacks = [
        callback,
        RunRecord(run, stage="training", first_epoch=3),
        Checkpoints(last, folder / "best.ckpt"),
    ]
    config = compose(["trainer.accelerator=cpu"]).trainer
    trainer = make_trainer(config, epochs, callbacks, folder)
    trainer.fit(task, ckpt_path=checkpoint, weights_only=True)
    return run.metrics(), callback


def test_late_numbers_are_in_the_rows_of_their_epochs(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "cache"
    (in_turn, _), (beside, callback) = (
        fit(tmp_path / str(overlap), cache, overlap=overlap) for overlap in (False, True)
    )
    assert [row["epoch"] for row in beside] == ["3", "4"]
    for one, other in zip(in_turn, beside, strict=True):
        assert one["val/psnr"] == other["val/psnr"]
        for name in MEASURED:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=2e-3)
        assert float(other["time/int8"]) > 0
    assert float(in_turn[0]["val_int8/psnr"]) != float(in_turn[1]["val_int8/psnr"])
    assert callback.beside is None

    # The checkpoint was written before the last epoch was measured: a run that is taken up there
    # has lost the number, and measures the same weights again.
    state = torch.load(tmp_path / "True" / "last.ckpt", weights_only=True)
    waiting: list[dict[str, Any]] = state["callbacks"]["Int8Drop"]["waiting"]
    assert waiting[-1]["epoch"] == 4
    folder = RunFolder(tmp_path / "True")
    (folder.path / "metrics.csv").unlink()
    for row in in_turn:
        folder.append_metrics({key: row[key] for key in row if key not in MEASURED})
    again, _ = fit(
        tmp_path / "True", cache, overlap=True, checkpoint=tmp_path / "True" / "last.ckpt"
    )
    assert again[-1]["val_int8/psnr"] == beside[-1]["val_int8/psnr"]


def test_what_overlap_may_be_is_said() -> None:
    with pytest.raises(UserError, match="overlap=often is none of auto, true and false"):
        Int8Drop(PostTraining(), overlap="often")
