"""Curves of training, and quality against what it costs, of many runs."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sr_experiments.reporting.comparison.members import Member
from sr_experiments.reporting.svg import COLOURS, FAINT, inline, themed

QUALITY = "val/psnr"
LONGEST = 36  # characters of a name within a chart
COSTS = (("ms", "ms, INT8 file on this CPU"), ("kib", "KiB, INT8 file"))


@dataclass(frozen=True)
class Point:
    """One network.

    Attributes:
        label: Of its run.
        quality: PSNR in dB.
        cost: Milliseconds or KiB.
    """

    label: str
    quality: float
    cost: float


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other equals or beats in both, the cheapest first.

    Example:
        >>> cheap, good, poor = Point("a", 30, 1), Point("b", 32, 5), Point("c", 31, 6)
        >>> [point.label for point in front([poor, good, cheap])]
        ['a', 'b']
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.quality)):
        if not kept or point.quality > kept[-1].quality:
            kept.append(point)
    return kept


def short(label: str) -> str:
    """A name that leaves the chart its room; what is pointed at is told in full.

    Example:
        >>> short("scheduler.peak=0.0013046789,model.channels=20,loss=l1")
        'peak=0.0013,channels=20,loss=l1'
    """
    parts = []
    for part in label.split(","):
        key, sign, value = part.rpartition("=")
        with suppress(ValueError):  # a word stays
            value = f"{float(value):.3g}"
        parts.append(f"{key.rpartition('.')[2]}{sign}{value}")
    text = ",".join(parts)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def pareto(rows: Sequence[Mapping[str, Any]], key: str, prefix: str) -> Markup | None:
    """PSNR against time and size, with the front.

    Args:
        rows: Of the table of runs: ``job``, ``ms``, ``kib`` and ``key``.
        key: Column of the PSNR.
        prefix: Told apart from the ids of other charts.

    Returns:
        None where fewer than two runs have either.
    """
    by_cost = {
        cost: [
            Point(str(row["job"]), float(row[key]), float(row[cost]))
            for row in rows
            if _positive(row.get(cost)) and _number(row.get(key))
        ]
        for cost, _ in COSTS
    }
    if all(len(points) < 2 for points in by_cost.values()):
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    said: dict[str, str] = {}
    with themed():
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        for axes, (cost, title) in zip(figure.subplots(1, len(COSTS)), COSTS, strict=True):
            points = by_cost[cost]
            best = front(points)
            axes.plot(
                [point.cost for point in best],
                [point.quality for point in best],
                color=COLOURS[1],
                drawstyle="steps-post",
                zorder=1,
            )
            for index, point in enumerate(points):
                gid = f"{prefix}-{cost}-{index}"
                said[gid] = f"{point.label}: {point.quality:.2f} dB, {point.cost:.4g} {title}"
                on_front = point in best
                colour = COLOURS[1] if on_front else COLOURS[0]
                axes.scatter([point.cost], [point.quality], color=colour, gid=gid, s=36, zorder=2)
                if on_front:
                    axes.annotate(
                        short(point.label),
                        (point.cost, point.quality),
                        textcoords="offset points",
                        xytext=(-5, 4),  # nothing else lies above and left of the front
                        ha="right",
                        fontsize=8,
                    )
            if points and max(p.cost for p in points) > 10 * min(p.cost for p in points):
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(0.22, 0.1)
            axes.set_xlabel(title)
            axes.set_ylabel(f"{key.removeprefix('test ')}, dB")
        return inline(figure, f"{key} against time and size", said)


def curves(members: Sequence[Member], first: int) -> Markup | None:
    """PSNR on the validation images and what INT8 costs, by iteration.

    Args:
        members: The best first.
        first: As many of them have a colour and a name; the others are faint.

    Returns:
        None where no run has more than one epoch of either.
    """
    drawn = [(member, list(_history(member))) for member in members]
    drawn = [(member, rows) for member, rows in drawn if len(rows) > 1]
    if not drawn:
        return None
    from matplotlib.figure import Figure

    said: dict[str, str] = {}
    with themed():
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        for index, (member, rows) in enumerate(drawn):
            named = index < first
            colour = COLOURS[index % len(COLOURS)] if named else FAINT
            look = {"color": colour, "linewidth": 1.6, "zorder": 2 if named else 1}
            for axes, key, title, style in (
                (above, QUALITY, "FP32", "-"),
                (above, "val_int8/psnr", "INT8", "--"),
                (below, "val/int8_drop", "drop", "-"),
            ):
                points = [(row["iteration"], row[key]) for row in rows if key in row]
                if not points:
                    continue
                gid = f"curve-{index}-{title}"
                said[gid] = f"{member.label} {title}: {points[-1][1]:.3f} dB at the end"
                label = short(member.label) if named and title == "FP32" else None
                steps, values = zip(*points, strict=True)
                axes.plot(steps, values, style, gid=gid, label=label, **look)
        above.set_ylabel("PSNR, dB")
        below.set_ylabel("drop, dB")
        below.set_xlabel("iteration")
        below.axhline(0, color="#888", linewidth=0.8)
        figure.legend(loc="outside right upper", fontsize=8)
        return inline(figure, "PSNR on the validation images by iteration", said)


def _history(member: Member) -> Iterator[dict[str, float]]:
    """Numbers of each epoch that has an iteration and a PSNR."""
    try:
        rows = member.folder.metrics()
    except (OSError, ValueError, csv.Error):
        return  # a damaged file has no curve
    for row in rows:
        numbers = {key: _parsed(cell) for key, cell in row.items()}
        known = {key: value for key, value in numbers.items() if not math.isnan(value)}
        if {"iteration", QUALITY} <= known.keys():
            yield known


def _parsed(cell: object) -> float:
    try:
        value = float(cell)  # type: ignore[arg-type]  # a damaged file has what it has
    except (TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
