"""``table=zoo``: every network of ``conf/model``, what it costs and what its source says."""

import os
from collections.abc import Callable, Mapping, Sequence

from sr_experiments.deploy.latency import Latency, compare_latency
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.errors import UserError
from sr_experiments.reporting.environment import usable_cores
from sr_experiments.reporting.shipping import HEIGHT, WIDTH
from sr_experiments.reporting.tables.byte_model import KIB
from sr_experiments.reporting.tables.measured import LARGE, Costs, Entry, count, int8_file
from sr_experiments.reporting.tables.sources import (
    LAYOUTS,
    UNMATCHED,
    agrees,
    kilobytes_of,
    source_of,
)
from sr_experiments.reporting.tables.table import BAD, GOOD, PAGE_ONLY, Cell, Column, Row, Table

HEAVY = 100e9  # multiply-accumulates a frame above which a few runs must do
HEAVY_RUNS, WARMUP = 3, 2
BUSY = 0.5  # load a core above which other work makes itself felt
TOLERANCE = 6.0  # KiB
INSIDE, NEAR, NEVER = "inside", f"within {TOLERANCE:.0f} KiB", "cannot match"


def _agreement(cell: Cell) -> str:
    return {"yes": GOOD, "no": BAD}.get(str(cell), "")


def _fit(cell: Cell) -> str:
    text = str(cell or "")
    return GOOD if text.startswith((INSIDE, NEAR)) else BAD if text else ""


COLUMNS = (
    Column("network", "network", help="option of the group model"),
    Column("about", "from", room=PAGE_ONLY),
    Column(
        "parameters",
        "parameters",
        ",d",
        "of the network that ships, re-parameterised blocks "
        "and batch norm folded, frozen constants left out",
    ),
    Column("training", "in training", ",d", room=120),
    Column(
        "printed",
        "source's",
        help="parameters as the source prints them, in brackets those in "
        "training; empty where it prints none",
    ),
    Column(
        "agrees",
        "agrees",
        help="whether ours rounds to that",
        judge=_agreement,
        room=120,
    ),
    Column("source", "printed in", room=PAGE_ONLY),
    Column(
        "gmac",
        "GMAC",
        ".2f",
        f"multiply-accumulates of all convolutions for one {WIDTH}x{HEIGHT} frame, in billions",
    ),
    Column("kib", "KiB", ".1f", "of the INT8 TFLite file that this package writes"),
    Column(
        "report_kib", "report's KB", "d", "size in table 1 of the Mobile AI 2022 report, in KiB"
    ),
    Column(
        "band",
        "KiB elsewhere",
        help="of the same network as other converters write it, with "
        "short to long names: kernels + 28 bytes a channel + 215 to 425 a tensor",
        room=120,
    ),
    Column(
        "verdict",
        "report's KB is",
        help="against that band, not against our file, whose writer "
        "spends less on names and tables",
        judge=_fit,
    ),
    Column("ms", "ms", ".1f", "median time of the INT8 file on the CPU of this machine, LiteRT"),
    Column("spread", "+-", ".1f", "interquartile range of it", room=100),
    Column("runs", "runs", "d", room=PAGE_ONLY),
    Column(
        "field",
        "field",
        "d",
        "receptive field: side, in low-res pixels, of what an output pixel depends on",
    ),
    Column("limits", "limits", room=PAGE_ONLY),
    Column("layout", "layout in the report", room=PAGE_ONLY),
)


def zoo_table(
    entries: Sequence[Entry],
    scale: int,
    *,
    threads: int,
    repeats: int,
    advance: Callable[[str], None] = lambda doing: None,
) -> Table:
    """Count, write and time networks.

    Args:
        entries: The networks.
        scale: Enlargement.
        threads: CPU threads of LiteRT.
        repeats: Timed runs of each; 0 times nothing.
        advance: Told what is done next.
    """
    costs: dict[str, Costs] = {}
    files: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for entry in entries:
        advance(entry.name)
        try:
            found = count(entry)
            costs[entry.name] = found
            if found.deployable and not found.large:
                files[entry.name] = int8_file(entry)
        except UserError as error:  # a network that has no such scale
            refused[entry.name] = str(error)
    advance("times")
    load = os.getloadavg()[0]
    times = _time(files, costs, threads, repeats) if repeats else {}
    rows = [
        _row(entry, scale, costs[entry.name], files.get(entry.name), times.get(entry.name))
        for entry in entries
        if entry.name in costs
    ]
    rows += [{"network": name, "limits": reason} for name, reason in refused.items()]
    return Table(
        "zoo" if scale == 3 else f"zoo_x{scale}",
        f"Networks at x{scale}",
        "Every network of the configuration group model: what it costs before anything is "
        "trained, and what its source says.",
        COLUMNS,
        [rows],
        _notes(entries, costs, times, threads, load),
    )


def _time(
    files: Mapping[str, bytes], costs: Mapping[str, Costs], threads: int, repeats: int
) -> dict[str, Latency]:
    """Light networks in turn, so that other work slows all alike; then the heavy ones."""
    heavy = [name for name in files if (costs[name].macs or 0) > HEAVY]
    light = [name for name in files if name not in heavy]
    runtimes: list[LiteRTRuntime] = [LiteRTRuntime(files[name], threads) for name in light]
    rows = compare_latency([*runtimes], HEIGHT, WIDTH, repeats, WARMUP)
    found = dict(zip(light, rows, strict=True))
    for name in heavy:
        runtime = LiteRTRuntime(files[name], threads)
        runs = min(repeats, HEAVY_RUNS)
        (found[name],) = compare_latency([runtime], HEIGHT, WIDTH, runs, 1)
    return found


def _row(
    entry: Entry, scale: int, costs: Costs, file: bytes | None, latency: Latency | None
) -> Row:
    source = source_of(entry.name, scale)
    kilobytes = kilobytes_of(entry.name, scale)
    row: dict[str, Cell] = {
        "network": entry.name,
        "about": entry.about,
        "parameters": costs.parameters,
        "training": costs.training if costs.training != costs.parameters else None,
        "gmac": None if costs.macs is None else costs.macs / 1e9,
        "field": costs.field,
        "limits": costs.limits or None,
        "kib": len(file) / KIB if file else "large" if costs.large and costs.deployable else None,
        "layout": LAYOUTS.get(entry.name),
    }
    if source.parameters:
        counts = [(source.parameters, costs.parameters)]
        counts += [(source.training, costs.training)] if source.training else []
        row["printed"] = f"{counts[0][0]} ({counts[1][0]})" if counts[1:] else counts[0][0]
        row["agrees"] = "yes" if all(agrees(*pair) for pair in counts) else "no"
        row["source"] = source.where
    if kilobytes is not None and costs.band is not None:
        row |= {"report_kib": kilobytes, "band": str(costs.band)}
        row["verdict"] = _verdict(entry.name, costs.band.distance(kilobytes))
    if latency is not None:
        row |= {"ms": latency.median, "spread": latency.spread, "runs": latency.runs}
    return row


def _verdict(name: str, distance: float) -> str:
    if name in UNMATCHED:
        return f"{NEVER} ({distance:.1f})"
    if distance == 0:
        return INSIDE
    return f"{NEAR if distance <= TOLERANCE else 'off'} ({distance:.1f})"


def _notes(
    entries: Sequence[Entry],
    costs: Mapping[str, Costs],
    times: Mapping[str, Latency],
    threads: int,
    load: float,
) -> list[str]:
    names = [entry.name for entry in entries if entry.name in costs]
    notes = [f"{name}: {why}" for name, why in UNMATCHED.items() if name in names]
    notes += [f"{name}: {costs[name].limits}" for name in names if costs[name].limits]
    if any(costs[name].large and costs[name].deployable for name in names):
        notes.append(
            f"large: above {LARGE:,} parameters, counted on the meta device and not built, so "
            "without file and time."
        )
    if times:
        notes.append(
            f"Times: {WIDTH}x{HEIGHT} enlarged on {threads} CPU threads, networks in turn, "
            f"{max(row.runs for row in times.values())} runs each after {WARMUP}; above "
            f"{HEAVY / 1e9:.0f} GMAC alone and at most {HEAVY_RUNS} runs. The challenges timed an "
            "NPU."
        )
        if load > BUSY * usable_cores():
            notes.append(
                f"The machine was busy (load {load:.1f} on {usable_cores()} cores): times are too "
                "long, and only those of one table are to be compared."
            )
    notes.append("Weights are random and seeded: counts, file and time do not depend on them.")
    return notes
