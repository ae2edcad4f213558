"""Runs with quantization=qat: what the drop is counted from, what ships, and what resumes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sr_experiments import export, train
from sr_experiments.configuration.compose import compose
from sr_experiments.deploy.tflite import float_model
from sr_experiments.errors import UserError
from sr_experiments.models import ESPCN, XLSR, SavedModel, collapse, load_model, save_model
from sr_experiments.quantization import PostTraining, QuantizationAware, trace
from sr_experiments.reporting import finish
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import RegressionTask
from sr_experiments.tasks.reference import Reference
from sr_experiments.training.parts import _compared

QUICK = [
    "trainer.epochs=2",
    "data.steps_per_epoch=4",
    "data.batch_size=4",
    "data.patch=16",
    "data.test=[photos:test]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "quantization=qat",
]
CONFIG = {"_target_": "sr_experiments.models.XLSR", "scale": 3}
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


@pytest.fixture(autouse=True)
def _a_small_benchmark(monkeypatch: pytest.MonkeyPatch, one_cache: None) -> None:
    # Seconds at 640x360, and no test here is about latency.
    monkeypatch.setattr(finish, "LATENCY_RUNS", 1)
    monkeypatch.setattr(finish, "HEIGHT", 36)
    monkeypatch.setattr(finish, "WIDTH", 64)


def job(folder: Path, *words: str) -> train.Job:
    overrides = [*QUICK, f"paths.output_dir={folder}", *words]
    config = compose(overrides, hydra=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    return train.Job(compose(overrides), choices, overrides)


def run(folder: Path, *words: str) -> Path:
    train.run(job(folder, *words))
    (made,) = (folder / "xlsr-x3").iterdir()
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XLSR that starts as a picture: file of a network that counts as trained."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    save_model(XLSR(), CONFIG, path)
    return path


def test_the_drop_is_counted_from_the_network_that_training_started_from(
    tmp_path: Path, trained: Path
) -> None:
    made = run(tmp_path, f"init_from={trained}", "optimizer.lr=0.01")
    rows = RunFolder(made).metrics()
    references = {row["val_fp32/psnr"] for row in rows}
    assert len(references) == 1
    assert len({row["val/psnr"] for row in rows}) == 2
    for row in rows:
        drop = float(row["val_fp32/psnr"]) - float(row["val_int8/psnr"])
        assert drop == pytest.approx(float(row["val/int8_drop"]), abs=1e-3)
        # The grid in torch is the file in LiteRT.
        assert float(row["val/psnr"]) == pytest.approx(float(row["val_int8/psnr"]), abs=0.01)
    start, left = load_model(trained), load_model(made / "model.safetensors")
    assert (made / "model_fp32.tflite").read_bytes() == float_model(trace(collapse(start)))
    assert left.quantized
    assert not torch.equal(left.head[0].weight, start.head[0].weight)  # type: ignore[union-attr]
    summary = json.loads((made / "summary.json").read_text())
    assert summary["fp32_reference"] == "FP32 network that the training started from"
    best = max(rows, key=lambda row: float(row["val/psnr"]))
    assert summary["int8_drop"] == pytest.approx(float(best["val/int8_drop"]), abs=0.01)
    assert "FP32 is the FP32 network that" in (made / "report.html").read_text()


def test_the_twin_of_a_training_from_scratch_is_what_fp32_training_makes(tmp_path: Path) -> None:
    words = ["trainer.epochs=1", "trainer.gradient_clip=0.5", "task.ema_decay=0.9"]
    twin = run(tmp_path / "qat", *words)
    plain = run(tmp_path / "fp32", *words, "quantization=none")
    wanted = (plain / "model_fp32.tflite").read_bytes()
    assert (twin / "model_fp32.tflite").read_bytes() == wanted
    assert json.loads((twin / "summary.json").read_text())["fp32_reference"].startswith("FP32 twin")
    (row,), (other,) = RunFolder(twin).metrics(), RunFolder(plain).metrics()
    assert float(row["val_fp32/psnr"]) == pytest.approx(float(other["val/psnr"]), abs=1e-4)
    assert row["train/loss_twin"] == other["train/loss"]


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_an_interrupted_training_goes_on_to_the_same_file(
    ranges: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        f"quantization.ranges={ranges}",
        "quantization.decay=0.5",
        "quantization.sqcl=0.3",
        "task.ema_decay=0.9",
        "trainer.epochs=3",
    ]
    whole = run(tmp_path / "whole", *words)
    step = RegressionTask.training_step

    def stops(self: RegressionTask, *args: Any) -> Tensor:
        if self.iteration == 6:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RegressionTask, "training_step", stops)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(tmp_path / "cut", *words)
    cut = run(tmp_path / "cut", *words)
    for name in ("model_int8.tflite", "model_fp32.tflite", "model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    keys = ("val/psnr", "val_fp32/psnr", "val_int8/psnr", "train/loss/sqcl")
    measured = [[row[key] for key in keys] for row in RunFolder(cut).metrics()]
    assert measured == [[row[key] for key in keys] for row in RunFolder(whole).metrics()]


def test_what_is_no_fp32_network_to_compare_with_is_refused(tmp_path: Path, trained: Path) -> None:
    network = load_model(trained)
    network.quantized = True
    save_model(network, CONFIG, tmp_path / "quantized.safetensors")
    espcn = {"_target_": "sr_experiments.models.ESPCN", "scale": 3}
    save_model(ESPCN(), espcn, tmp_path / "espcn.safetensors")
    start = f"init_from={tmp_path / 'quantized.safetensors'}"
    for words, message in (
        ([start], "quantization.reference=<run folder or earlier stage>"),
        (["quantization.reference=nowhere"], "quantization.reference=nowhere"),
        ([f"quantization.reference={tmp_path / 'espcn.safetensors'}"], "holds another network"),
        ([f"quantization.reference={tmp_path / 'quantized.safetensors'}"], "floating point"),
        (["quantization.calibration_set=nowhere"], "nowhere"),
    ):
        with pytest.raises(UserError, match=message):
            train.preflight(job(tmp_path / "out", *words))
    train.preflight(job(tmp_path / "out", start, f"quantization.reference={trained}"))
    assert not (tmp_path / "out").exists()


def test_a_second_quantised_stage_is_compared_with_the_last_stage_in_floating_point() -> None:
    def saved(seed: int, quantized: bool) -> SavedModel:
        torch.manual_seed(seed)
        return SavedModel(CONFIG, False, XLSR().state_dict(), f"stage {seed}", quantized)

    stages = {"l1": saved(1, False), "l2": saved(2, False), "qat": saved(3, True)}
    mode = QuantizationAware()
    chosen = _compared(mode, stages).reference
    assert torch.equal(chosen.head[0].weight, stages["l2"].tensors["head.0.weight"])
    named = _compared(QuantizationAware(reference="l1"), stages).reference
    assert torch.equal(named.head[0].weight, stages["l1"].tensors["head.0.weight"])
    assert _compared(mode, {"l1": stages["l1"]}) == mode
    assert _compared(mode, {}) == mode
    plain = PostTraining()
    assert _compared(plain, stages) is plain
    reference = Reference.of(chosen, stages["qat"].build(), None)
    assert not reference.trains
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_half_precision_ships_a_measured_file_of_float16_weights(tmp_path: Path) -> None:
    made = run(tmp_path, "quantization=fp16", "trainer.epochs=1")
    summary = json.loads((made / "summary.json").read_text())
    half = summary["fp16"]
    assert half["tflite_bytes"] == (made / "model_fp16.tflite").stat().st_size
    assert half["tflite_bytes"] < 0.62 * (made / "model_fp32.tflite").stat().st_size
    assert half["latency_ms"]["median"] > 0
    assert {"bicubic", "fp32", "fp16"} <= set(summary["test"]["photos"])
    assert summary["tflite_bytes"] is summary["int8_drop"] is None
    (row,) = RunFolder(made).metrics()
    drop = float(row["val/psnr"]) - float(row["val_fp16/psnr"])
    assert drop == pytest.approx(float(row["val/fp16_drop"]), abs=1e-3)
    assert half["drop"] == pytest.approx(drop, abs=1e-3)
    assert "<th>FP16</th>" in (made / "report.html").read_text()


def test_export_writes_the_measured_file_again_with_the_trained_ranges(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run(tmp_path, f"init_from={trained}", "trainer.epochs=1", "quantization.ranges=learned")
    export.main([f"run={made}", f"output={tmp_path / 'files'}"])
    measured = (made / "model_int8.tflite").read_bytes()
    assert (tmp_path / "files" / "model_int8.tflite").read_bytes() == measured
    assert "ranges from the training" in capsys.readouterr().out
    with pytest.raises(UserError, match="observer=mse: this network keeps the ranges"):
        export.main([f"run={made}", f"output={tmp_path / 'other'}", "observer=mse"])
    export.main([f"run={made}", f"output={tmp_path / 'new'}", "trained_ranges=false"])
    assert (tmp_path / "new" / "model_int8.tflite").read_bytes() != measured
