"""What a finished run folder holds, in the form that loggers take: numbers, pictures, files."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.reporting.image_scores import read_scores
from sr_experiments.reporting.run_folder import RunFolder

PICTURES = "strips"
FILES = ("model_int8.tflite", "model_fp16.tflite", "model.safetensors")
SCORE = "psnr_y"
KEPT = "best/"
KIB = 1024
COPIED = ("params", "params_training", "macs", "int8_drop")


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes:
        numbers: By name: ``params``, ``macs``, ``tflite_kib``, ``latency_ms``, ``int8_drop``,
            ``test/<set>/<runtime>/<metric>``, and ``best/val/psnr`` and the like: the validation
            metrics of the network that is kept, which need not be those of the last epoch.
        facts: Words of the summary.
        strips: Pictures.
        columns: Of ``rows``, after set and image.
        rows: By set and image of the test sets: luma PSNR of whatever ran, and the drop in dB.
        files: What ships.
        checkpoints: ``best`` and ``last``, where they are.
        epochs: That were trained.
    """

    numbers: dict[str, float]
    facts: dict[str, str]
    strips: list[Path]
    columns: list[str]
    rows: dict[tuple[str, str], list[float | None]]
    files: list[Path]
    checkpoints: dict[str, Path]
    epochs: int

    @classmethod
    def of(cls, path: Path) -> "Results":
        """Read a run folder."""
        folder = RunFolder(path)
        summary, columns = folder.summary(), list[str]()
        scores = read_scores(path)
        for by_runtime in scores.values():
            columns += [key for key in by_runtime if key not in columns]
        drop = next((key for key in ("int8", "fp16") if key in columns and "fp32" in columns), None)
        rows: dict[tuple[str, str], list[float | None]] = {}
        for name, by_runtime in scores.items():
            for image in dict.fromkeys(image for row in by_runtime.values() for image in row):
                found = {key: row[image][SCORE] for key, row in by_runtime.items() if image in row}
                cells = [found.get(key) for key in columns]
                if drop is not None:
                    both = "fp32" in found and drop in found
                    cells.append(found["fp32"] - found[drop] if both else None)
                rows[name, image] = cells
        checkpoints = {"best": folder.best_checkpoint, "last": folder.last_checkpoint}
        return cls(
            numbers(summary),
            {
                key: str(summary[key])
                for key in ("status", "model", "fp32_reference")
                if summary.get(key)
            },
            sorted((path / "images").glob("*.png")),
            [f"{key}/{SCORE}" for key in columns] + (["drop"] if drop else []),
            rows,
            [path / name for name in FILES if (path / name).is_file()],
            {name: file for name, file in checkpoints.items() if file.is_file()},
            len(folder.metrics()),
        )

    def strip(self, set_name: str, image: str) -> Path | None:
        """The picture of a row, where one was drawn."""
        return next((path for path in self.strips if path.stem == f"{set_name}_{image}"), None)

    def markdown(self) -> str:
        """The table of test images for loggers that only show text."""
        heads = ["set", "image", *self.columns]
        lines = [heads, ["---"] * len(heads)]
        for key, cells in self.rows.items():
            lines.append([*key, *("" if cell is None else f"{cell:.3f}" for cell in cells)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a ``summary.json`` under the names that loggers show."""
    found: dict[str, Any] = {key: summary.get(key) for key in COPIED}
    found |= _shipped("", summary)
    if summary.get("fp16"):
        half = summary["fp16"]
        found |= {"fp16_drop": half.get("drop"), **_shipped("fp16_", half)}
    found |= {f"training/{key}": value for key, value in (summary.get("train") or {}).items()}
    found |= dict(_flat("test", summary.get("test") or {}))
    last = (summary.get("stages") or [{}])[-1]
    found |= {f"{KEPT}{key}": value for key, value in last.items() if key.startswith("val")}
    return {key: float(value) for key, value in found.items() if _is_number(value)}


def _shipped(prefix: str, node: Mapping[str, Any]) -> dict[str, Any]:
    latency = node.get("latency_ms") or {}
    size = node.get("tflite_bytes")
    return {
        f"{prefix}tflite_kib": None if size is None else size / KIB,
        f"{prefix}latency_ms": latency.get("median"),
        f"{prefix}latency_ms_spread": latency.get("spread"),
    }


def _flat(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(f"{prefix}/{key}", value)
    else:
        yield prefix, node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
