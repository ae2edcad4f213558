"""Every file of a run folder opens completely, and its summary claims only what is there.

And what of a run must be equal where two have trained alike.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from safetensors.torch import load_file

from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.checkpoint import read_checkpoint
from sr_experiments.training.job import Job

RESULTS = ("params", "macs", "test", "int8_drop", "tflite_bytes", "latency_ms")


def _lines(path: Path) -> None:
    text = path.read_text()
    assert text.endswith("\n")
    for line in text.splitlines():
        json.loads(line)


def _table(path: Path) -> None:
    text = path.read_text()
    assert text.endswith("\n")
    head, *rows = csv.reader(io.StringIO(text))
    assert all(len(row) == len(head) for row in rows)


def _page(path: Path) -> None:
    assert path.read_text().rstrip().endswith("</html>")


def _picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _yaml(path: Path) -> None:
    _end(path)
    yaml.safe_load(path.read_text())


def _end(path: Path) -> None:
    assert path.read_text().endswith("\n")


OPENERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _lines,
    ".csv": _table,
    ".safetensors": load_file,
    ".tflite": lambda path: LiteRTRuntime(path, threads=1),
    ".ckpt": read_checkpoint,
    ".html": _page,
    ".png": _picture,
    ".webp": _picture,
    ".yaml": _yaml,
    ".md": _end,
    ".tex": _end,
}


def check_files(folder: Path) -> int:
    """Open every file below ``folder``; how many there are.

    Hidden ones are what is being written, and the lock.

    Raises:
        AssertionError: One is cut short, or of a kind that nothing here can open.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    for path in files:
        assert path.suffix in OPENERS, path
        try:
            OPENERS[path.suffix](path)
        except Exception as error:
            raise AssertionError(f"{path} is half-written: {error}") from error
    return len(files)


def leftovers(folder: Path) -> list[str]:
    """Names of temporary files that nobody will ever finish."""
    return [path.name for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


def check_claims(run: RunFolder, epochs: int, steps: int) -> dict[str, Any]:
    """Compare ``summary.json`` with what the folder holds; the summary.

    Args:
        run: Of one stage.
        epochs: That it is to train.
        steps: In all of them.

    Raises:
        AssertionError: It claims what is not there.
    """
    summary = run.summary()
    iteration = 0
    if run.last_checkpoint.is_file():
        iteration = read_checkpoint(run.last_checkpoint)["iteration"]
    rows = run.metrics()
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    assert int(rows[-1]["iteration"] if rows else 0) >= iteration
    if summary.get("stages"):
        (stage,) = summary["stages"]
        assert iteration == stage["steps"] == steps
        assert len(rows) == stage["epochs"] == epochs
    if any(summary.get(key) is not None for key in RESULTS):
        assert summary["stages"]
        assert (run.path / "model.safetensors").is_file()
        size = (run.path / "model_int8.tflite").stat().st_size
        assert summary["tflite_bytes"] == size
    if summary.get("status") == "finished":
        assert summary["train"]["steps"] == steps
        assert summary["test"] is not None
        assert (run.path / "report.html").is_file()
    return summary


def run_of(job: Job) -> RunFolder:
    """The only run below a job's output folder."""
    (run,) = Path(job.config.paths.output_dir).glob("*/*")
    return RunFolder(run)


def outcome(run: RunFolder) -> tuple[bytes, bytes, list[dict[str, str]]]:
    """Weights, INT8 file, and metrics without times: what two equal trainings share."""
    assert run.status() == "finished"
    rows = [
        {key: cell for key, cell in row.items() if not key.startswith("time/")}
        for row in run.metrics()
    ]
    weights, integers = (
        (run.path / name).read_bytes() for name in ("model.safetensors", "model_int8.tflite")
    )
    return weights, integers, rows
