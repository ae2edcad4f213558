import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.reporting.loggers import closing, no_logger, wandb_logger

# wandb closes its own service's pipes when the process ends.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


BLOCK = 32 * 1024
FILE_HEADER, RECORD_HEADER = 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(data: bytes) -> Iterator[bytes]:
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


def complete(file: Path, patience: float = 60.0) -> list[Any]:
    """Records of a finished run's file; W&B's service closes it a moment after ``finish``."""
    from wandb.proto import wandb_internal_pb2

    give_up = time.monotonic() + patience
    while True:
        found = [wandb_internal_pb2.Record.FromString(data) for data in records(file.read_bytes())]
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < give_up, f"{file} has no end after {patience} s"
        time.sleep(0.1)


def decode(folder: Path) -> tuple[list[dict[str, float]], dict[str, str]]:
    """Rows and step axes that a dashboard would show, read back from W&B's offline file."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    rows, axes = [], {}
    for record in complete(file):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
        elif record.WhichOneof("record_type") == "metric":
            axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    return rows, axes


def test_without_a_key_wandb_records_offline_and_says_how_to_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    loggers = wandb_logger(tmp_path, "test", {"scale": 3})
    with closing(loggers):
        (logger,) = loggers
        logger.log_metrics({"epoch": 0, "iteration": 100, "val/psnr": 30.5}, step=100)
        logger.log_metrics({"epoch": 1, "iteration": 200, "val/psnr": 31.5}, step=200)
    assert wandb.run is None, "the run is closed"
    assert "wandb sync" in capsys.readouterr().out
    rows, axes = decode(tmp_path)
    assert axes["val*"] == "epoch"
    assert axes["train/*"] == axes["lr/*"] == "iteration"
    assert [row["val/psnr"] for row in rows] == [30.5, 31.5]
    assert [row["iteration"] for row in rows] == [100, 200]
    assert (tmp_path / "wandb_id").is_file()


def test_no_logger_is_no_logger(tmp_path: Path) -> None:
    assert no_logger(tmp_path, "test", {}) == []
