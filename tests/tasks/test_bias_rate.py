from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from skimage import data
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale
from sr_experiments.losses import L1
from sr_experiments.models import ESPCN
from sr_experiments.optim import Constant, Step, Triangular
from sr_experiments.tasks import RegressionTask


def photo() -> tuple[Tensor, Tensor]:
    """A cat's eye in [0, 1] at x2: (1, 3, 24, 24) and (1, 3, 48, 48)."""
    high_res = torch.from_numpy(data.chelsea()[70:118, 120:168].copy()).permute(2, 0, 1)[None]
    return downscale(high_res, 2) / 255, high_res / 255


def task(network: ESPCN, tmp_path: Any, schedule: Callable[..., Any], **options: Any) -> Any:
    images = SRData(["photos:train"], ["photos:val"], [], scale=2, cache_dir=tmp_path)
    adam = partial(torch.optim.Adam, lr=1e-3, eps=1e-30)
    return RegressionTask(network, L1(), images, adam, schedule, total_steps=10, **options)


def test_a_255th_on_biases_trains_as_a_network_of_pixels_up_to_255_does(tmp_path: Any) -> None:
    torch.manual_seed(0)
    network = ESPCN(scale=2).double()
    large = ESPCN(scale=2).double()
    large.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, value in large.named_parameters():
            if name.endswith("bias"):
                value *= 255
    low_res, high_res = (image.double() for image in photo())
    optimizer = task(network, tmp_path, Constant, bias_rate=1 / 255).configure_optimizers()
    optimizer = optimizer["optimizer"]
    reference = torch.optim.Adam(large.parameters(), lr=1e-3, eps=1e-30)
    for _ in range(5):
        for model, steps, factor in ((network, optimizer, 1), (large, reference, 255)):
            steps.zero_grad()
            nn.functional.l1_loss(model(low_res * factor), high_res * factor).backward()
            steps.step()
    for (name, small), value in zip(network.named_parameters(), large.parameters(), strict=True):
        factor = 255 if name.endswith("bias") else 1
        assert torch.allclose(small * factor, value, rtol=1e-6, atol=1e-9), name


@pytest.mark.parametrize("schedule", [Constant, Step, Triangular])
def test_every_schedule_keeps_the_factor(tmp_path: Any, schedule: Callable[..., Any]) -> None:
    made = task(ESPCN(scale=2), tmp_path, schedule, bias_rate=0.5).configure_optimizers()
    weights, biases = made["lr_scheduler"]["scheduler"].get_last_lr()
    assert biases == pytest.approx(weights / 2)


def test_a_factor_that_stops_biases_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="bias_rate=0"):
        task(ESPCN(scale=2), tmp_path, Constant, bias_rate=0.0)
