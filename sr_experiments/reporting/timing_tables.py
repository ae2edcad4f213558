"""What `reporting.timing` measured, on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sr_experiments.deploy.challenge import CONSTANTS
from sr_experiments.deploy.layers import Layers
from sr_experiments.reporting.shipping import HEIGHT, WIDTH
from sr_experiments.reporting.timing import CHALLENGE_SCALE, Benchmark, Row
from sr_experiments.reporting.wording import counted


def print_result(result: Benchmark) -> None:
    """Print a row per network and runtime, and the hardware it holds for."""
    rows = result.rows
    first = rows[0].latency
    networks = list(dict.fromkeys(row.network for row in rows))
    scored = any(row.scores for row in rows)
    measured = any(row.memory is not None for row in rows)
    title = f"one frame of {first.size}" if len(networks) > 1 else _title(rows[0])
    table = Table(title=escape(title))
    if len(networks) > 1:
        table.add_column("network", overflow="fold")
    table.add_column("runtime", no_wrap=True)
    columns = ["ms", "spread", "ratio"] if scored else ["ms", "spread", "ratio", "fps"]
    for column in columns + ["MiB"] * measured + [f"MAI {year}" for year in CONSTANTS] * scored:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = [escape(f"{row.network} x{row.scale}")] if len(networks) > 1 else []
        latency = row.latency
        cells += [
            latency.runtime,
            f"{latency.median:.1f}",
            f"{latency.spread:.1f}",
            f"{row.ratio:.2f}",
        ]
        if not scored:
            cells.append(f"{1000 / latency.median:.1f}")
        if measured:
            cells.append("" if row.memory is None else f"{row.memory:.1f}")
        if scored:
            cells += [f"{row.scores[year]:.2f}" if row.scores else "" for year in CONSTANTS]
        table.add_row(*cells)
    console = Console(highlight=False)
    console.print(table)
    threads = counted(first.threads, "thread")
    console.print(
        f"median and interquartile range of {first.runs} runs after {result.warmup}, in turn, on "
        f"{threads} of {processor(result.machine)}"
    )
    if measured:
        console.print("MiB: peak memory beyond that of the library")
    for label, (parameters, macs) in result.costs.items():
        operations = "" if macs is None else f"{macs / 1e9:.2f} GMAC, "
        console.print(f"{label}: {operations}{parameters:,} parameters", markup=False)
    if scored:
        console.print(
            "MAI: score 2^(2 PSNR) / (C ms) of the Mobile AI challenges, of this machine's time; "
            "theirs is of a Synaptics NPU"
        )
    elif any(row.psnr is not None for row in rows):
        console.print(f"no challenge score: it is for x{CHALLENGE_SCALE} of {WIDTH}x{HEIGHT}")
    for row in rows:
        if row.layers is not None:
            name = f"{row.network}, {row.latency.runtime}" if len(rows) > 1 else row.network
            console.print(layer_table(name, row.layers))
            console.print(
                f"{row.layers.method}: {row.layers.total:.2f} ms together; the whole file took "
                f"{row.latency.median:.2f} ms"
            )


def layer_table(title: str, layers: Layers) -> Table:
    """A row per operator."""
    table = Table(title=escape(title))
    table.add_column("#", justify="right")
    table.add_column("operator", no_wrap=True)
    table.add_column("kernel and output", no_wrap=True)
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    for layer in layers.rows:
        table.add_row(
            str(layer.number),
            escape(layer.operator),
            escape(layer.detail),
            f"{layer.milliseconds:.3f}",
            f"{layer.milliseconds / layers.total:.1%}",
        )
    return table


def processor(machine: Mapping[str, Any]) -> str:
    """The CPU, and whether it has instructions for INT8."""
    cpu = machine["cpu"]
    return f"{cpu['model']} ({', '.join(cpu['int8_instructions']) or 'no INT8 instructions'})"


def _title(row: Row) -> str:
    width, height = map(int, row.latency.size.split("x"))
    return f"{row.network}: {row.latency.size} to {width * row.scale}x{height * row.scale}"
