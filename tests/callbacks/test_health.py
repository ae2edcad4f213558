from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from sr_experiments.callbacks import Health
from sr_experiments.data import SRData
from sr_experiments.losses import Charbonnier
from sr_experiments.models import XLSR
from sr_experiments.optim import Constant
from sr_experiments.tasks import RegressionTask


def validate(task: RegressionTask) -> dict[str, torch.Tensor]:
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[Health()],
    )
    (metrics,) = trainer.validate(task, verbose=False)
    return dict(metrics)


# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
def test_an_output_channel_that_died_is_said_by_its_number(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = SRData(["photos:train"], ["photos:val"], [], 3, batch_size=4, cache_dir=tmp_path)
    network = XLSR()
    task = RegressionTask(network, Charbonnier(), data, torch.optim.Adam, Constant, total_steps=1)
    assert validate(task)["val/dead_channels"] == 0
    with torch.no_grad():
        assert network.tail.bias is not None
        network.tail.bias[13] = -9.0
    with pytest.warns(UserWarning, match=r"output channels \[13\] lie outside the clip"):
        assert validate(task)["val/dead_channels"] == 1
