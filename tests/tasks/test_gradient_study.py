"""Algorithm 1 of the mini-batch paper, on cases worked by hand and on runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.optim import Constant
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.studies.measures import Intensity
from sr_experiments.studies.policy import Policy
from sr_experiments.tasks.gradient_study import GradientStudy, twin_gradient

pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


class Numbers:
    """Pictures of one grey level; the network sees it, and has to find a number."""

    def __init__(self, levels: list[int], targets: list[float], batch_size: int = 1) -> None:
        self.levels, self.targets = torch.tensor(levels), torch.tensor(targets)
        self.images, self.batch_size = len(levels), batch_size
        self.steps_per_epoch = len(levels) // batch_size
        self.cache_dir = Path("unused")
        self.drawn: list[int] = []

    def check(self) -> None: ...

    def setup(self, device: torch.device) -> None: ...

    def pictures(self) -> Tensor:
        return self.levels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()

    def batch(self, indices: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        self.drawn += indices.tolist()
        return self.levels[indices].float()[:, None, None, None], self.targets[indices]


class Study(GradientStudy):
    metric = "train/loss"

    def check(self, choices: Mapping[str, str]) -> None: ...

    def noise(self) -> tuple[Tensor, Tensor]:
        return torch.rand(2, 1, 1, 1), torch.rand(2)

    def test(self) -> dict[str, float]:
        return {}

    def val_dataloader(self) -> Iterable[int]:
        return range(1)

    def validation_step(self, index: int, batch_idx: int) -> None: ...

    def _schedule(self) -> Any:
        self.data.cache_dir = Path(self.trainer.default_root_dir)
        return super()._schedule()


class Squares(nn.Module):
    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        return ((output - targets) ** 2).mean()


class Line(nn.Module):
    """``w x``, from w = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * images.flatten()


class Noisy(nn.Module):
    """Batch norm and dropout: all that could tell the two networks apart."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.body(images / 100)[:, 0]
        return out


def study(
    network: nn.Module, data: Numbers, *, epochs: int = 1, lr: float = 0.1, **options: Any
) -> Study:
    return Study(
        network,
        Squares(),
        data,
        lambda parameters: torch.optim.SGD(parameters, lr=lr),
        Constant,
        total_steps=epochs * data.steps_per_epoch,
        metric=Intensity(),
        **{"policy": Policy(), "phases": 1, "channels_last": False, **options},
    )


def fit(task: Study, folder: Path, epochs: int = 1) -> Study:
    torch.manual_seed(5)
    pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    ).fit(task)
    return task


@pytest.mark.parametrize("distances", ["exact", "both"])
def test_two_batches_worked_by_hand(distances: str, tmp_path: Path) -> None:
    # Pictures 2 and 1 with the targets 1 and 0, sorted: x = 1, t = 0 comes first. Gradients of
    # (w x - t)^2 at w = 1: 2 (1 - 0) 1 = 2 and 2 (2 - 1) 2 = 4; mean 3, distances 1 and 1. The
    # network meanwhile goes to w = 1 - 0.1 * 2 = 0.8, then to 0.8 - 0.1 * 2 (1.6 - 1) 2 = 0.56.
    # Second epoch at w = 0.56: gradients 1.12 and 2 (1.12 - 1) 2 = 0.48, mean 0.8.
    data = Numbers([2, 1], [1.0, 0.0])
    task = fit(study(Line(), data, epochs=2, distances=distances, sketch_size=4), tmp_path, 2)
    assert data.drawn == [1, 0, 1, 0]
    for rows in task.rows.values():
        torch.testing.assert_close(
            torch.stack(rows), torch.tensor([[1.0, 1.0], [0.32, 0.32]]).double()
        )
    # one more epoch of the network: 0.56 - 0.112 = 0.448, then - 0.1 * 2 (0.896 - 1) 2
    assert task.network.weight.item() == pytest.approx(0.448 + 0.0416)
    assert not (tmp_path / "gradients").exists()


def test_three_batches_of_two_worked_by_hand(tmp_path: Path) -> None:
    # At w = 1 and targets 0 a picture of level x has the gradient 2 x^2. Batches by intensity are
    # (1, 2), (3, 4), (5, 6): means 5, 25 and 61, the last picture (7) left out; mean 91/3.
    data = Numbers([6, 3, 1, 5, 4, 2, 7], [0.0] * 7, batch_size=2)
    task = fit(study(Line(), data, lr=0.001), tmp_path)
    wanted = [abs(value - 91 / 3) for value in (5, 25, 61)]
    assert task.rows["exact"][0].tolist() == pytest.approx(wanted)


class Watching(Study):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        flat = [
            torch.cat([value.float().flatten() for value in network.state_dict().values()])
            for network in (self._twin[0], self.network)
        ]
        self.seen.append((flat[0].clone(), flat[1].clone()))
        super().on_train_batch_end(outputs, batch, batch_idx)


def test_parameters_and_buffers_of_the_twin_stay_within_an_epoch(tmp_path: Path) -> None:
    data = Numbers(list(range(10, 90, 5)), [0.01 * n for n in range(16)], batch_size=4)
    torch.manual_seed(1)
    task = Watching(
        Noisy(),
        Squares(),
        data,
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        Constant,
        total_steps=8,
        metric=Intensity(),
        policy=Policy(),
        phases=1,
        channels_last=False,
    )
    fit(task, tmp_path, 2)
    twins, networks = zip(*task.seen, strict=True)
    for epoch in (0, 4):
        assert all(torch.equal(twins[epoch], twin) for twin in twins[epoch : epoch + 4])
        steps = networks[epoch : epoch + 4]
        assert all(not torch.equal(a, b) for a, b in zip(steps[1:], steps[:-1], strict=True))
    assert torch.equal(twins[4], networks[3])  # the second epoch starts with what the first left


def test_training_is_the_same_to_the_bit_with_and_without_a_twin(tmp_path: Path) -> None:
    left = []
    for distances in ("none", "both"):
        torch.manual_seed(1)
        data = Numbers(list(range(10, 90, 5)), [0.01 * n for n in range(16)], batch_size=4)
        task = study(Noisy(), data, epochs=2, distances=distances, sketch_size=16)
        fit(task, tmp_path, 2)
        left.append(task.network.state_dict())
    assert all(torch.equal(left[0][key], left[1][key]) for key in left[0])


def test_the_twin_normalises_with_the_batchs_own_statistics() -> None:
    torch.manual_seed(0)
    twin = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1)).train()
    inputs, targets = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
    before = {key: value.clone() for key, value in twin.state_dict().items()}
    gradient = torch.cat(twin_gradient(twin, Squares(), inputs, targets))
    normed = torch.tensor([-1.0, 1.0])  # mean 2, deviation 1, up to batch norm's eps
    weight, bias = (value.item() for value in (twin[1].weight, twin[1].bias))
    errors = 2 * (weight * normed + bias)
    wanted = [
        (errors * weight * normed).mean(),
        (errors * weight).mean(),
        (errors * normed).mean(),
        errors.mean(),
    ]
    torch.testing.assert_close(gradient, torch.stack(wanted), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in twin.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distances": "all"}, r"task\.distances=all"),
        ({"policy": Policy(shuffle="pictures")}, r"task/policy=sorted"),
        ({"policy": Policy([[[0.5, 1.0]]])}, r"task/policy=sorted"),
        ({"phases": 3}, r"task\.phases=3 .* 1 epochs"),
        ({"policy": Policy([[[0.5, 1]]] * 2), "distances": "none"}, "for 2 phases"),
        ({"quantization": PostTraining()}, "quantization=none"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        study(Line(), Numbers([1, 2, 3, 4], [0.0] * 4), **options)


def test_part_of_an_epoch_has_no_full_gradient() -> None:
    data = Numbers([1, 2, 3, 4], [0.0] * 4)
    data.steps_per_epoch = 2
    with pytest.raises(UserError, match="whole epochs"):
        study(Line(), data)
