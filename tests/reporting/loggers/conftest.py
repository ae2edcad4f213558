"""A run folder as a finished run leaves it, and what W&B's offline files hold."""

import io
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import Logger
from PIL import Image

from sr_experiments.reporting.distributions import Distribution
from sr_experiments.reporting.loggers import LoggedRun, closing, log_results
from sr_experiments.reporting.loggers.run import RunLogger
from sr_experiments.reporting.run_folder import RunFolder

BLOCK = 32 * 1024
FILE_HEADER, RECORD_HEADER = 7, 7
FULL, LAST = 1, 4
STEPS = 100  # data batches of an epoch
PATIENCE = 600  # seconds, on a busy machine

SUMMARY = {
    "status": "finished", "model": "xlsr", "scale": 3, "params": 21947, "params_training": 21947,
    "macs": 4980326400, "int8_drop": 0.0625, "tflite_bytes": 36608,
    "latency_ms": {"runtime": "LiteRT", "threads": 1, "median": 37.5, "spread": 0.5},
    "train": {"steps": 400, "seconds": 2.5},
    "test": {"photos": {"fp32": {"psnr_y": 30.5}, "int8": {"psnr_y": 30.25}}},
    "stages": [{"name": "main", "val/psnr": 29.0, "val_int8/psnr": 28.9375, "drop": 0.0625}],
}  # fmt: skip
SCORES = """network,scale,set,runtime,image,psnr_y,ssim_y,psnr_rgb,ssim_rgb
x,3,photos,bicubic,coffee,28.5,0.8,27,0.8
x,3,photos,fp32,coffee,30.5,0.9,29,0.9
x,3,photos,int8,coffee,30.25,0.9,29,0.9
"""


def row(epoch: int) -> dict[str, float]:
    """What ``RunRecord`` passes on after an epoch."""
    return {
        "epoch": epoch, "iteration": STEPS * (epoch + 1), "train/loss": 0.5 - epoch / 8,
        "val/psnr": 26.0 + epoch, "val_int8/psnr": 25.5 + epoch, "val/int8_drop": 0.5,
        "lr/network": 0.001, "time/epoch": 1.5,
    }  # fmt: skip


HISTOGRAMS = [
    Distribution("weights/head", np.array([1, 2]), np.array([-1.0, 0.0, 1.0]), (-1.5, 1.5)),
    Distribution("activations/head", np.array([3, 4]), np.array([0.0, 1.0, 2.0]), (0.0, 1.75)),
]

Record = Callable[[list[Logger], LoggedRun, range], None]


@pytest.fixture(scope="session")
def record() -> Record:
    """Log some epochs as training does, and the results after the last of four."""

    def recorded(loggers: list[Logger], run: LoggedRun, epochs: range) -> None:
        folder = RunFolder(run.folder)
        with closing(loggers):
            for epoch in epochs:
                folder.append_metrics(row(epoch))
                for logger in loggers:
                    logger.log_metrics(row(epoch), step=STEPS * (epoch + 1))
            last = {"epoch": epochs[-1], "iteration": STEPS * (epochs[-1] + 1)}
            for logger in loggers:
                assert isinstance(logger, RunLogger)
                logger.log_distributions(HISTOGRAMS, last)
            if epochs.stop == 4:
                finish(folder)
                log_results(loggers, run.folder)

    return recorded


def finish(folder: RunFolder) -> None:
    """Write what a finished run has."""
    folder.write_summary(SUMMARY)
    (folder.path / "scores.csv").write_text(SCORES, encoding="utf-8")
    (folder.path / "model_int8.tflite").write_bytes(b"integers")
    (folder.path / "model.safetensors").write_bytes(b"weights")
    (folder.path / "checkpoints").mkdir()
    folder.best_checkpoint.write_bytes(b"best")
    folder.last_checkpoint.write_bytes(b"last")
    (folder.path / "images").mkdir()
    out = io.BytesIO()
    Image.new("RGB", (12, 6), (200, 100, 50)).save(out, "png")
    (folder.path / "images" / "photos_coffee.png").write_bytes(out.getvalue())


@pytest.fixture
def run(tmp_path: Path) -> LoggedRun:
    """The second job of a sweep over losses."""
    folder = tmp_path / "losses" / "loss=l1"
    RunFolder(folder).path.mkdir(parents=True)
    config = {"seed": 1, "model": {"scale": 3}, "scale": 3, "trainer": {"epochs": 4}}
    options = {"model": "xlsr", "loss": "l1", "quantization": "ptq", "data": "photos"}
    return LoggedRun(folder, "loss=l1", config, options, "losses")


@dataclass
class Shown:
    """What a dashboard would show of a start of a run.

    Attributes:
        history: Rows, by metric; nested names joined by a slash.
        axes: Metric or pattern to what its curve is drawn over.
        artifacts: Kind to file name to MD5 in base 64.
    """

    name: str = ""
    group: str = ""
    identity: str = ""
    tags: set[str] = field(default_factory=set)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict)
    exit_code: int | None = None


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log, the format of W&B's offline files."""
    position, parts = FILE_HEADER, b""
    while position + RECORD_HEADER <= len(data):
        if BLOCK - position % BLOCK < RECORD_HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + RECORD_HEADER])
        position += RECORD_HEADER
        if position + length > len(data):
            return
        parts += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            yield parts
            parts = b""


def complete(file: Path) -> list[Any]:
    """Records of a finished run's file; W&B's service closes it a moment after ``finish``."""
    from wandb.proto import wandb_internal_pb2

    give_up = time.monotonic() + PATIENCE
    while True:
        data = file.read_bytes()
        found = [wandb_internal_pb2.Record.FromString(item) for item in leveldb_records(data)]
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < give_up, f"{file} has no end after {PATIENCE} s"
        time.sleep(0.1)


def read(file: Path) -> Shown:
    """Decode one offline file."""
    shown = Shown()
    for record in complete(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            shown.name, shown.group, shown.identity = run.display_name, run.run_group, run.run_id
            shown.tags |= set(run.tags)
            shown.config |= {i.key: json.loads(i.value_json) for i in run.config.update}
        elif kind == "history":
            items = record.history.item
            shown.history.append({_key(item): json.loads(item.value_json) for item in items})
        elif kind == "summary":
            items = record.summary.update
            shown.summary |= {_key(item): json.loads(item.value_json) for item in items}
        elif kind == "metric":
            name = record.metric.name or record.metric.glob_name
            shown.axes[name] = record.metric.step_metric
        elif kind == "artifact":
            files = {entry.path: entry.digest for entry in record.artifact.manifest.contents}
            shown.artifacts.setdefault(record.artifact.type, {}).update(files)
        elif kind == "exit":
            shown.exit_code = record.exit.exit_code
    return shown


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], list[Shown]]:
    """Every start of a run that W&B recorded offline, the first one first."""

    def decoded(folder: Path) -> list[Shown]:
        files = folder.glob("wandb/offline-run-*/run-*.wandb")
        return [read(file) for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]

    return decoded
