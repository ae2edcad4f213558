"""The table of a sweep: a row per job, finished or not, the best first."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sr_experiments.reporting.comparison.members import Member, jobs_of
from sr_experiments.reporting.papers import MOBILE_AI_2022, MOBILE_AI_2022_REPORT
from sr_experiments.reporting.published import Figure, published
from sr_experiments.reporting.tables.table import BAD, GOOD, PAGE_ONLY, Cell, Column, Row, Table

FINISHED = "finished"
CHALLENGE_SCALE = 3
REPORT = f"on DIV2K: {MOBILE_AI_2022_REPORT}, table 1"
LOWER_IS_BETTER = ("loss", "error", "distance")


def sweep_table(folder: Path, name: str = "summary") -> Table:
    """Read every job below a sweep's folder.

    Args:
        folder: The sweep's folder, with a run folder for each job.
        name: Stem of the table's files.

    Raises:
        UserError: It is not there, or holds no job.
    """
    return jobs_table(jobs_of(folder), name, f"Sweep {folder.name}")


def jobs_table(jobs: Sequence[Member], name: str, title: str) -> Table:
    """A row per run, the best first, beside what papers print of its network.

    Args:
        jobs: At least one, finished or not.
        name: Stem of the table's files.
        title: Its heading.
    """
    rows = [_row(job) for job in jobs]
    measured = [key for key in _keys(rows) if key.startswith("test ")]
    best_by = best_key(rows)
    rows.sort(key=lambda row: _rank(row, best_by))
    finished = sum(row["status"] == FINISHED for row in rows)
    about = f"{len(rows)} runs, {finished} finished."
    if best_by is not None:
        about += f" The best first, by {best_by.removeprefix('test ')}."
    return Table(
        name=name,
        title=title,
        about=about,
        columns=list(_columns(_keys(rows))),
        groups=[rows],
        notes=list(_notes(jobs, measured)),
    )


def _row(job: Member) -> dict[str, Cell]:
    """What a summary says of a job; text of every kind comes from whoever wrote the folder."""
    summary = job.summary
    train = _mapping(summary.get("train"))
    latency = _mapping(summary.get("latency_ms"))
    row: dict[str, Cell] = {
        "job": job.label,
        "status": str(summary.get("status", "damaged")),
        "params": _number(summary.get("params")),
        "steps": _number(train.get("steps")),
        "seconds": _number(train.get("seconds")),
        "drop": _number(summary.get("int8_drop")),
        "ms": _number(latency.get("median")),
        "reason": None if summary.get("reason") is None else str(summary["reason"]),
    }
    size = _number(summary.get("tflite_bytes"))
    row["kib"] = None if size is None else size / 1024
    test = _mapping(summary.get("test"))
    for figure in figures(job):
        row[f"printed {figure.set_name}"] = figure.psnr
    for entry in MOBILE_AI_2022:
        if entry.model == summary.get("model") and job.scale == CHALLENGE_SCALE:
            row |= {"printed drop": entry.drop, "printed kib": entry.kilobytes}
    return row | dict(_scores(test))


def figures(job: Member) -> list[Figure]:
    """Luma PSNR that papers print of the job's network, on the sets it was tested on."""
    sets = _mapping(job.summary.get("test"))
    if job.scale is None:
        return []
    found = [figure for name in sets for figure in published(job.network, name, job.scale)]
    return [figure for figure in found if not figure.rgb and not figure.int8]


def best_key(rows: Sequence[Row]) -> str | None:
    """The column that says which job is best: of an INT8 file if there is one."""
    measured = [key for key in _keys(rows) if key.startswith("test ")]
    int8 = next((key for key in measured if key.endswith(" INT8")), None)
    return int8 or next((key for key in measured if not key.endswith(" bicubic")), None)


def _scores(test: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    """Luma PSNR of each set, or whatever else a task measured."""
    for name, value in test.items():
        if not isinstance(value, Mapping):
            yield f"test {name}", _number(value)
            continue
        for kind, title in (("bicubic", "bicubic"), ("fp32", "FP32"), ("int8", "INT8")):
            scores = _mapping(value.get(kind))
            if scores:
                yield f"test {name} {title}", _number(scores.get("psnr_y"))


def _columns(keys: Sequence[str]) -> Iterator[Column]:
    yield Column("job", "job")
    yield Column("status", "status", judge=lambda cell: GOOD if cell == FINISHED else BAD)
    for key in (key for key in keys if key.startswith("test ")):
        yield Column(
            key,
            key.removeprefix("test "),
            ".2f" if _in_decibels(key) else ".4f",
            room=PAGE_ONLY if key.endswith(" bicubic") else 0,
        )
        printed = f"printed {key.removeprefix('test ').removesuffix(' FP32')}"
        if key.endswith(" FP32") and printed in keys:
            yield Column(printed, printed, ".2f", room=PAGE_ONLY, help="FP32, in papers")
    yield Column("drop", "drop, dB", "+.3f", help="FP32 less INT8 on the validation images, RGB")
    yield Column("printed drop", "printed drop", "+.2f", room=PAGE_ONLY, help=REPORT)
    yield Column("kib", "KiB", ".1f", help="of the INT8 file")
    yield Column("printed kib", "printed KiB", ",d", room=PAGE_ONLY, help=REPORT)
    yield Column(
        "ms", "ms", ".1f", room=120, help="LiteRT INT8, 640x360, median when the job ended"
    )
    yield Column("params", "parameters", ",d", room=180)
    yield Column("steps", "steps", ",d", room=200)
    yield Column("seconds", "seconds", ",.0f", room=200, help="of training")
    yield Column("reason", "why not finished")


def _notes(jobs: Sequence[Member], measured: Sequence[str]) -> Iterator[str]:
    if any(key.endswith(" bicubic") for key in measured):
        yield "Luma PSNR in dB, border of the scale cut, mean over the images of a set."
    sources = dict.fromkeys(figure.source for job in jobs for figure in figures(job))
    if sources:
        yield (
            f"Printed PSNR: {'; '.join(sources)}. Of networks trained on other data and for "
            "longer, unless the runs' own commands say otherwise."
        )


def _rank(row: Row, best_by: str | None) -> tuple[bool, float, str]:
    """Finished jobs first, the best of them first."""
    value = row.get(best_by) if best_by else None
    number = float(value) if isinstance(value, int | float) else float("-inf")
    lower = best_by is not None and any(word in best_by for word in LOWER_IS_BETTER)
    return row["status"] != FINISHED, number if lower else -number, str(row["job"])


def _in_decibels(key: str) -> bool:
    return any(key.endswith(f" {kind}") for kind in ("bicubic", "FP32", "INT8"))


def _keys(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
