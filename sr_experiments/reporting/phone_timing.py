"""Latency of TFLite files on a phone, with its name beside it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sr_experiments.deploy.adb import Phone, PhoneInfo
from sr_experiments.deploy.benchmark_tool import ToolResult
from sr_experiments.deploy.challenge import CONSTANTS
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.errors import UserError
from sr_experiments.reporting.timing import SCHEMA_VERSION, Candidate, scores
from sr_experiments.reporting.timing_tables import layer_table

METHOD = "LiteRT's benchmark_model with random input, one file after the other"


@dataclass(frozen=True)
class PhoneRow:
    """One file.

    Attributes:
        network: Its name.
        runtime: What executes it, with the delegate.
        scale: Enlargement.
        result: Of the tool.
        ratio: Its typical time by that of the first file.
        psnr: dB over RGB, if known.
        scores: Challenge's year to score.
    """

    network: str
    runtime: str
    scale: int
    result: ToolResult
    ratio: float
    psnr: float | None
    scores: dict[int, float]


@dataclass(frozen=True)
class PhoneBenchmark:
    """What was measured, on what.

    Attributes:
        phone: The hardware.
        size: Height and width of the low-res frame.
        threads: Of the phone's CPU.
        delegate: What ran the files.
        rows: One per file.
    """

    phone: PhoneInfo
    size: tuple[int, int]
    threads: int
    delegate: str
    rows: list[PhoneRow]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "method": METHOD,
            "phone": self.phone.as_json(),
            "size": f"{self.size[1]}x{self.size[0]}",
            "threads": self.threads,
            "delegate": self.delegate,
            "runtimes": [asdict(row) for row in self.rows],
        }


def benchmark_on_phone(
    phone: Phone,
    tool: str,
    candidates: Sequence[Candidate],
    *,
    height: int,
    width: int,
    threads: int,
    runs: int,
    warmup: int,
    delegate: str,
    layers: bool,
) -> PhoneBenchmark:
    """Time TFLite files on a phone, one after the other.

    Args:
        phone: Where.
        tool: Path of ``benchmark_model`` there.
        candidates: The first is what the others are compared with.
        height: Of the low-res frame.
        width: Of the frame.
        threads: Of the phone's CPU.
        runs: Runs that count.
        warmup: Runs before them.
        delegate: A key of ``benchmark_tool.DELEGATES``.
        layers: Time each operator as well.

    Raises:
        UserError: A file is fixed to another size, or the tool failed.
    """
    rows: list[PhoneRow] = []
    for candidate in candidates:
        runtime = candidate.runtime
        assert isinstance(runtime, LiteRTRuntime)
        if runtime.input_size not in (None, (height, width)):
            raise UserError(f"{candidate.network} is fixed to {runtime.input_size}")
        result = phone.time(
            runtime.content,
            tool,
            threads=threads,
            runs=runs,
            warmup=warmup,
            delegate=delegate,
            layers=layers,
            size=(height, width) if runtime.input_size is None else None,
        )
        first = rows[0].result.typical if rows else result.typical
        frame = height, width, runtime.scale
        rows.append(
            PhoneRow(
                candidate.network,
                f"{runtime.name} {delegate}",
                runtime.scale,
                result,
                result.typical / first,
                candidate.psnr,
                scores(candidate.psnr, result.typical, frame),
            )
        )
    return PhoneBenchmark(phone.info, (height, width), threads, delegate, rows)


def print_phone(benchmark: PhoneBenchmark) -> None:
    """Print a row per file, and the phone it holds for."""
    height, width = benchmark.size
    scored = any(row.scores for row in benchmark.rows)
    table = Table(title=escape(f"one frame of {width}x{height} on {benchmark.phone}"))
    table.add_column("network", overflow="fold")
    table.add_column("runtime", no_wrap=True)
    years = [f"MAI {year}" for year in CONSTANTS] * scored
    for column in ("ms", "spread", "ratio", "MiB", *years):
        table.add_column(column, justify="right", no_wrap=True)
    for row in benchmark.rows:
        result = row.result
        table.add_row(
            escape(f"{row.network} x{row.scale}"),
            row.runtime,
            f"{result.typical:.2f}",
            f"{result.deviation:.2f}",
            f"{row.ratio:.2f}",
            "" if result.memory is None else f"{result.memory:.1f}",
            *([f"{row.scores[year]:.2f}" if row.scores else "" for year in CONSTANTS] * scored),
        )
    console = Console(highlight=False)
    console.print(table)
    first = benchmark.rows[0].result
    kind = "mean" if first.median is None else "median"
    console.print(
        f"{kind} and standard deviation of {first.runs} runs on {benchmark.threads} threads; "
        f"{METHOD}; MiB as it counts them"
    )
    if scored:
        console.print("MAI: score of the challenges, of this phone's time; theirs is of an NPU")
    for row in benchmark.rows:
        if row.result.layers is not None:
            console.print(layer_table(f"{row.network}, {row.runtime}", row.result.layers))
