"""A teacher shows its predictions and is otherwise not there."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sr_experiments import train
from sr_experiments.configuration.compose import compose
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import L1, MSE
from sr_experiments.models import ABPN, save_model
from sr_experiments.optim import Constant
from sr_experiments.tasks import RegressionTask
from sr_experiments.training.parts import build
from sr_experiments.training.preflight import hand_over, preflight

ABPN_CONFIG = {"_target_": "sr_experiments.models.ABPN", "channels": 8, "num_blocks": 1}


pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> SRData:
    cache = tmp_path_factory.getbasetemp() / "cache"
    return SRData(["photos:train"], ["photos:val"], [], 3, batch_size=4, cache_dir=cache)


def teacher() -> ABPN:
    """One that darkens: nobody learns that from the pictures."""
    torch.manual_seed(5)
    network = ABPN(channels=8, num_blocks=1)
    assert isinstance(network.tail.bias, nn.Parameter)
    nn.init.constant_(network.tail.bias, -0.2)
    return network


def student(data: SRData, loss: nn.Module | None = None, weight: float = 2.0) -> RegressionTask:
    torch.manual_seed(0)
    return RegressionTask(
        ABPN(channels=4, num_blocks=1),
        L1(),
        data,
        torch.optim.Adam,
        Constant,
        total_steps=1,
        teacher=teacher(),
        distillation={"weight": weight, "loss": loss or L1()},
    )


def job(folder: Path, *words: str) -> train.Job:
    overrides = ["trainer.accelerator=cpu", f"paths.output_dir={folder / 'out'}", *words]
    config = compose(overrides, hydra=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    return train.Job(compose(overrides), choices, overrides)


@pytest.mark.parametrize("loss", [L1(), MSE()])
def test_the_term_is_the_weighted_distance_from_the_teachers_prediction(
    loss: nn.Module, data: SRData
) -> None:
    task = student(data, loss)
    low_res, high_res = task.train_batch()
    terms = task.terms(low_res, high_res)
    assert list(terms) == ["l1", "distillation"]
    difference = task.network(low_res) - teacher()(low_res)
    distance = difference.abs() if isinstance(loss, L1) else difference.square()
    assert terms["distillation"].item() == pytest.approx(2 * distance.mean().item(), rel=1e-5)


def test_the_teacher_is_neither_in_the_checkpoint_nor_in_the_optimiser(data: SRData) -> None:
    task = student(data)
    task.train()
    assert task.distillation is not None
    assert not task.distillation.teacher.training
    assert not any("teacher" in name for name in task.state_dict())
    optimizer = task.configure_optimizers()["optimizer"]  # type: ignore[index,typeddict-item]
    trained = {id(item) for group in optimizer.param_groups for item in group["params"]}
    assert trained == {id(parameter) for parameter in task.network.parameters()}
    assert not any(item.requires_grad for item in task.distillation.teacher.parameters())


def test_a_taught_network_comes_nearer_to_its_teacher_who_stays(data: SRData) -> None:
    distances = []
    for weight in (1e-6, 3.0):
        task = student(data, weight=weight)
        optimizer = torch.optim.Adam(task.network.parameters(), lr=1e-2)
        for index in range(25):
            terms = task.terms(*task.data.train_batch(index))
            optimizer.zero_grad()
            torch.autograd.backward(task.total_loss(terms))
            optimizer.step()
        low_res, _ = task.data.train_batch(99)
        distances.append(float((task.network(low_res) - teacher()(low_res)).detach().abs().mean()))
        assert task.distillation is not None
        for name, value in task.distillation.teacher.state_dict().items():
            assert torch.equal(value, teacher().state_dict()[name]), name
    assert distances[1] < 0.5 * distances[0]


def test_a_teacher_is_found_by_its_run_folder_or_its_file(tmp_path: Path) -> None:
    save_model(teacher(), ABPN_CONFIG, tmp_path / "model.safetensors")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        (stage,) = job(tmp_path, f"task.teacher={source}").stages
        task = build(stage).task
        assert isinstance(task, RegressionTask)
        assert task.distillation is not None
        expected = teacher().state_dict()
        for name, value in task.distillation.teacher.state_dict().items():
            assert torch.equal(value, expected[name])


def test_an_earlier_stage_teaches_by_its_name(tmp_path: Path) -> None:
    words = ["model=emsrnet", "model.channels=8", "quantization=none"]
    stages = "stages=[{name: wide}, {name: taught, overrides: ['task.teacher=wide']}]"
    first, second = job(tmp_path, *words, stages).stages
    parts = build(first)
    with torch.no_grad():
        next(parts.network.parameters()).fill_(0.25)
    task = build(second, {"wide": hand_over(parts, first)}).task
    assert isinstance(task, RegressionTask)
    assert task.distillation is not None
    assert (next(task.distillation.teacher.parameters()) == 0.25).all()
    assert task.distillation.teacher is not task.network
    preflight(job(tmp_path, *words, stages))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task.teacher=nowhere"], r"task\.teacher=nowhere: there is no nowhere"),
        (["task.teacher={x3}", "scale=2"], r"task\.teacher=.* enlarges x3, and this run x2"),
        (["task.teacher={x3}", "task.distillation.weight=0"], r"task\.distillation\.weight=0"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_before_a_folder_exists(
    words: list[str], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "x3.safetensors"
    save_model(teacher(), ABPN_CONFIG, file)
    with pytest.raises(UserError, match=told):
        train.run(job(tmp_path, *(word.format(x3=file) for word in words)))
    assert not (tmp_path / "out").exists()
