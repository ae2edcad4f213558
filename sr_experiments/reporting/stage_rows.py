"""The stages of a run as rows of a table, from its summary alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

COLUMNS: Sequence[tuple[str, str, Callable[[Any], str]]] = (
    ("name", "stage", str),
    ("steps", "steps", lambda value: f"{value:,}"),
    ("data", "data", str),
    ("loss", "loss", str),
    ("optimizer", "optimiser", str),
    ("scheduler", "schedule", str),
    ("lr", "lr", lambda value: f"{value:g}"),
    ("patch", "patch", str),
    ("batch_size", "batch", str),
    ("quantization", "quantisation", str),
    ("val/psnr", "PSNR, dB", lambda value: f"{value:.2f}"),
    ("val_int8/psnr", "INT8, dB", lambda value: f"{value:.2f}"),
    ("drop", "drop, dB", lambda value: f"{value:+.3f}"),
    ("seconds", "time", lambda value: duration(value)),
)


def stage_rows(stages: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A header and a row per stage; a column that no stage fills is left out.

    Args:
        stages: ``stages`` of ``summary.json``. PSNR, INT8 and drop are those of the network
            that the stage left, on the validation images.
    """
    used = [
        column for column in COLUMNS if any(stage.get(column[0]) is not None for stage in stages)
    ]
    rows = [[title for _, title, _ in used]]
    for stage in stages:
        cells = [(stage.get(key), shown) for key, _, shown in used]
        rows.append(["" if value is None else shown(value) for value, shown in cells])
    return rows


def duration(seconds: float) -> str:
    """Such as ``42 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
