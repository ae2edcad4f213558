"""Perceptual metrics are those of the rounded pictures; one that cannot be had is left out."""

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.callbacks import Perception
from sr_experiments.errors import UserError
from sr_experiments.losses import L1
from sr_experiments.tasks import SuperResolutionTask


class Trainer:
    sanity_checking = False
    max_epochs = 4

    def __init__(self, epoch: int = 0) -> None:
        self.current_epoch = epoch


class Data:
    def val_pairs(self) -> list[tuple[str, Tensor, Tensor]]:
        low, high = (torch.full((3, side, side), 51, dtype=torch.uint8) for side in (8, 16))
        return [("dark", low, high), ("bright", low, 2 * high)]


class Task(SuperResolutionTask):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.data = Data()  # type: ignore[assignment]
        self.logged: dict[str, float] = {}

    def picture(self, low_res: Tensor) -> Tensor:
        return low_res.repeat(1, 2, 2)

    def log(self, name: str, value: float, **_: object) -> None:  # type: ignore[override]
        self.logged[name] = value

    def terms(self, low_res: Tensor, high_res: Tensor) -> dict[str, Tensor]:
        return {}


class Nowhere(nn.Module):
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        raise UserError("weights=alexnet.pth: there is no such file")


def test_metrics_are_means_over_images_in_units_of_one() -> None:
    task, callback = Task(), Perception({"l1": L1()}, every=2)
    callback.on_validation_epoch_end(Trainer(0), task)  # type: ignore[arg-type]
    assert task.logged == {}
    for epoch in (1, 3):
        task.logged.clear()
        callback.on_validation_epoch_end(Trainer(epoch), task)  # type: ignore[arg-type]
        assert task.logged == {"val/l1": pytest.approx(0.1)}


def test_a_metric_without_weights_is_said_once_and_the_others_go_on() -> None:
    task, callback = Task(), Perception({"lpips": Nowhere(), "l1": L1()})
    with pytest.warns(UserWarning, match=r"val/lpips is not measured: weights=alexnet.pth"):
        callback.on_validation_epoch_end(Trainer(), task)  # type: ignore[arg-type]
    callback.on_validation_epoch_end(Trainer(), task)  # type: ignore[arg-type]
    assert task.logged.keys() == {"val/l1"}
    with pytest.raises(UserError, match="every=0 is below 1"):
        Perception({}, every=0)
