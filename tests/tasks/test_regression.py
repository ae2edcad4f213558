from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr_experiments import train
from sr_experiments.configuration.compose import compose
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import NonFiniteLossError
from sr_experiments.training.parts import build
from sr_experiments.training.preflight import check

QUICK = [
    "trainer.epochs=2",
    "data.steps_per_epoch=10",
    "data.test=[photos:test]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.usefixtures("one_cache"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]


def job(folder: Path, *words: str) -> train.Job:
    overrides = [*QUICK, f"paths.output_dir={folder / 'out'}", *words]
    config = compose(overrides, hydra=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    return train.Job(compose(overrides), choices, overrides)


def test_a_run_leaves_everything_the_contract_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train.run(job(tmp_path))
    (run,) = (tmp_path / "out" / "xlsr-x3").iterdir()
    for name in (
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "model.safetensors",
        "model_fp32.tflite",
        "model_int8.tflite",
        "summary.json",
        "images/photos_coffee.png",
        "images/panels/photos_coffee.webp",
        "scores.csv",
        "report.html",
    ):
        assert (run / name).stat().st_size > 0, name
    assert summary["status"] == "finished"
    assert summary["params"] == 21_947
    assert summary["macs"] == (21_947 - 331) * 640 * 360  # every weight but the biases
    assert summary["train"]["steps"] == 20
    assert summary["tflite_bytes"] == (run / "model_int8.tflite").stat().st_size
    scores = summary["test"]["photos"]
    assert set(scores) == {"bicubic", "fp32", "int8"}
    assert set(scores["int8"]) == {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    assert summary["latency_ms"]["median"] > 0
    rows = RunFolder(run).metrics()
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [row["iteration"] for row in rows] == ["10", "20"]
    for row in rows:
        drop = float(row["val/psnr"]) - float(row["val_int8/psnr"])
        assert drop == pytest.approx(float(row["val/int8_drop"]), abs=1e-3)
    assert "photos" in capsys.readouterr().out


def test_a_non_finite_loss_stops_the_run_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_experiments.losses import Charbonnier

    calls = 0
    original = Charbonnier.forward

    def fails_in_the_second_epoch(self: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        loss = original(self, prediction, target)  # type: ignore[arg-type]
        return loss * float("nan") if calls > 15 else loss

    monkeypatch.setattr(Charbonnier, "forward", fails_in_the_second_epoch)
    with pytest.raises(NonFiniteLossError, match="charbonnier became nan at iteration 14"):
        train.run(job(tmp_path))
    (run,) = (tmp_path / "out" / "xlsr-x3").iterdir()
    folder = RunFolder(run)
    assert folder.status() == "failed"
    assert "iteration 14" in folder.summary()["reason"]
    checkpoint = torch.load(folder.last_checkpoint, weights_only=True)
    assert checkpoint["iteration"] == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.patch=400"], "data.patch"),
        (["data.train=[nowhere]"], "nowhere"),
        (["model=bicubic"], "cannot be trained"),
        (["budget=0"], "budget=0"),
        (["task.ema_decay=2"], "ema_decay=2"),
        (["callbacks.int8_drop.every=0"], "every=0"),
        (["init_from=nowhere"], "nowhere"),
        (["quantization.observer=guess"], "quantization.observer=guess"),
        (["scale=1"], "scale=1"),
        (["trainer.precision=half"], "trainer: Precision 'half'"),
        (["trainer.threads=0"], "trainer.threads=0"),
        (["trainer.threads=many"], "trainer.threads=many"),
        (["optimizer.lr=-1"], "optimizer: Invalid learning rate"),
        (["scheduler.peak_at=3"], "peak_at"),
        (["loss.eps=-1"], "eps"),
    ],
)
def test_what_cannot_run_is_refused_before_a_folder_exists(
    words: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        train.run(job(tmp_path, *words))
    assert not (tmp_path / "out").exists()


def test_what_is_measured_every_second_epoch_stands_under_those_epochs_alone(
    tmp_path: Path,
) -> None:
    train.run(job(tmp_path, "trainer.epochs=4", "callbacks.int8_drop.every=2"))
    (run,) = (tmp_path / "out" / "xlsr-x3").iterdir()
    rows = RunFolder(run).metrics()
    assert [bool(row["val_int8/psnr"]) for row in rows] == [False, True, False, True]
    assert all(row["val/psnr"] for row in rows)
    assert all(0 < float(row["time/data"]) < float(row["time/epoch"]) for row in rows)


def test_preflight_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    # dbb has batch norm, whose statistics any forward pass moves.
    words = ["model=emsrnet", "model.block=dbb"]
    stage = job(tmp_path, *words).stages[0]
    untouched = build(stage).network.state_dict()
    parts = build(stage)
    check(stage, parts)
    checked = parts.network.state_dict()
    assert any("running_mean" in name for name in checked)
    for name, value in checked.items():
        assert torch.equal(value, untouched[name]), name


def test_the_schedule_ends_where_the_budget_ends(tmp_path: Path) -> None:
    parts = build(job(tmp_path, "trainer.epochs=100", "budget=0.05").stages[0])
    assert parts.epochs == 5
    configured = parts.task.configure_optimizers()
    assert isinstance(configured, dict)
    scheduler = configured["lr_scheduler"]["scheduler"]  # type: ignore[index,typeddict-item]
    assert scheduler.total_steps == 50


def test_training_can_start_from_a_finished_run(tmp_path: Path) -> None:
    train.run(job(tmp_path, "quantization=none"))
    (run,) = (tmp_path / "out" / "xlsr-x3").iterdir()
    assert not (run / "model_int8.tflite").exists()
    parts = build(job(tmp_path, f"init_from={run}", "seed=9").stages[0])
    from sr_experiments.models import load_model

    expected = load_model(run / "model.safetensors").state_dict()
    for name, value in parts.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
