"""What a dashboard would show of a run, read back from W&B's offline files."""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from sr_experiments.errors import UserError
from sr_experiments.reporting.loggers import LoggedRun, NoLogger, WandB, closing
from sr_experiments.reporting.loggers.options import has_key
from sr_experiments.training.job import Job

# wandb closes its own service's pipes when the process ends.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

Decode = Callable[[Path], list[Any]]


@pytest.fixture(autouse=True)
def no_key(
    forget_wandb: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_wandb(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb_data"))


def test_a_run_that_was_killed_goes_on_in_the_same_w_and_b_run(
    run: LoggedRun,
    record: Callable[..., None],
    decode: Decode,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = dict(os.environ)
    record(WandB(tags=["mine"]).open(run), run, range(2))
    said = capfd.readouterr()
    record(WandB(tags=["mine"]).open(run), run, range(2, 4))
    assert dict(os.environ) == before, "nothing of one job is left to the next"

    lines = [line for line in (said.out + said.err).splitlines() if line.strip()]
    upload = f"wandb sync {run.folder}/wandb/offline-run-*"
    assert lines == [f"W&B is offline (no key); upload with: {upload}"]

    first, second = decode(run.folder)
    assert first.identity == second.identity
    for start in (first, second):
        assert (start.name, start.group, start.exit_code) == ("loss=l1", "losses", 0)
        assert start.tags == {"xlsr", "x3", "ptq", "photos", "mine"}
        assert start.config["options"]["loss"] == "l1"
        assert start.config["trainer"] == {"epochs": 4}
        for pattern in ("train/*", "lr/*"):
            assert start.axes[pattern] == "iteration"
        for pattern in ("val*", "time/*", "weights/*", "activations/*", "ranges/*"):
            assert start.axes[pattern] == "epoch"
        assert not any("global_step" in name for name in start.axes)

    history = [*first.history, *second.history]
    epochs = [row for row in history if "val/psnr" in row]
    assert [row["epoch"] for row in epochs] == [0, 1, 2, 3]
    assert [row["iteration"] for row in epochs] == [100, 200, 300, 400]
    assert [row["val_int8/psnr"] for row in epochs] == [25.5, 26.5, 27.5, 28.5]
    steps = [row["_step"] for row in history]
    assert steps == sorted(set(steps)), "uploaded one after the other, no row replaces another"

    counts = [row["weights/head/values"] for row in history if "weights/head/values" in row]
    assert counts == [[1, 2], [1, 2]]
    assert epochs[3]["activations/head/bins"] == [0, 1, 2]
    assert epochs[3]["ranges/activations/head/high"] == 1.75
    assert epochs[3]["ranges/weights/head/low"] == -1.5
    assert epochs[3]["distributions/_type"] == "image-file"


def test_the_results_are_in_the_summary_beside_pictures_table_and_files(
    run: LoggedRun, record: Callable[..., None], decode: Decode
) -> None:
    record(WandB(log_checkpoints="both").open(run), run, range(4))
    (shown,) = decode(run.folder)
    wanted = {
        "params": 21947, "macs": 4980326400, "tflite_kib": 35.75, "latency_ms": 37.5,
        "int8_drop": 0.0625, "test/photos/int8/psnr_y": 30.25, "training/seconds": 2.5,
        "best/val/psnr": 29.0, "val/psnr": 29.0, "status": "finished",
    }  # fmt: skip
    assert {key: shown.summary.get(key) for key in wanted} == wanted

    def md5(content: bytes) -> str:
        return base64.b64encode(hashlib.md5(content).digest()).decode()

    assert shown.artifacts["model"] == {
        "model_int8.tflite": md5(b"integers"),
        "model.safetensors": md5(b"weights"),
    }
    assert shown.artifacts["checkpoint"] == {"best.ckpt": md5(b"best"), "last.ckpt": md5(b"last")}

    last = shown.history[-1]
    assert last["strips/captions"] == ["photos_coffee"]
    (picture,) = last["strips/filenames"]
    files = next(run.folder.glob("wandb/offline-run-*/files"))
    strip = run.folder / "images" / "photos_coffee.png"
    assert (files / picture).read_bytes() == strip.read_bytes()
    table = OmegaConf.load(files / last["test_images/path"])
    heads = ["set", "image", "strip", "bicubic/psnr_y", "fp32/psnr_y", "int8/psnr_y", "drop"]
    assert table.columns == heads
    ((set_name, image, _, *cells),) = table.data
    assert [set_name, image, *cells] == ["photos", "coffee", 28.5, 30.5, 30.25, 0.25]


def test_a_failed_run_is_closed_as_failed(run: LoggedRun, decode: Decode) -> None:
    with pytest.raises(RuntimeError), closing(WandB().open(run)):
        raise RuntimeError("no")
    (shown,) = decode(run.folder)
    assert shown.exit_code == 1


def test_a_run_that_w_and_bs_agent_starts_is_the_agents(
    run: LoggedRun, decode: Decode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    monkeypatch.setenv("WANDB_RUN_ID", "agent001")
    with closing(WandB().open(run)):
        pass
    (shown,) = decode(run.folder)
    assert (shown.identity, shown.exit_code) == ("agent001", 0)
    assert run.identity("wandb") == "agent001"


def test_options_that_are_impossible_are_refused_before_a_run_is_opened(
    monkeypatch: pytest.MonkeyPatch, run: LoggedRun
) -> None:
    with pytest.raises(UserError, match=r"logger.mode=of is unknown; choose null, online"):
        WandB(mode="of")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="wandb login"):
        WandB(mode="online")
    with pytest.raises(UserError, match=r"logger.histograms=0 is not a whole number from 1"):
        WandB(histograms=0)
    with pytest.raises(UserError, match=r"logger.log_checkpoints=all is unknown"):
        WandB(log_checkpoints="all")  # type: ignore[arg-type]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert WandB().open(run) == []
    assert NoLogger().open(run) == []
    assert not (run.folder / "wandb").exists()


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_a_key_that_wandb_login_wrote_is_found(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text(f"machine {host}\n  login user\n  password {'k' * 40}\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    assert has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not has_key()


def test_a_run_is_named_by_what_differs() -> None:
    config = OmegaConf.create({"run_name": None, "scale": 3, "model": {"scale": 3}})
    words = ["model=espcn", "loss=l1", "logger=wandb", "logger.tags=[a]", "paths.output_dir=x"]
    alone = Job(config, {"model": "espcn"}, words)
    assert alone.label == "espcn-x3 loss=l1"
    assert Job(config, {"model": "espcn"}, words, ("losses", "loss=l1")).label == "loss=l1"
