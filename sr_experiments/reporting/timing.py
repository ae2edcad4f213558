"""Latency with its method and hardware beside it, and the challenges' score from it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from sr_experiments.deploy.challenge import CONSTANTS, challenge_score
from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.latency import Latency, compare_latency
from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel, collapse, count_parameters
from sr_experiments.quantization.trace import UnsupportedOperator, trace
from sr_experiments.reporting import environment
from sr_experiments.reporting.evaluation import load_sets
from sr_experiments.reporting.shipping import HEIGHT, WIDTH

SCHEMA_VERSION = 1
CHALLENGE_SCALE = 3
METHOD = (
    "one frame of random pixels, its input in place and its output left where it is; runtimes "
    "in turn; median and interquartile range"
)


@dataclass(frozen=True)
class Row:
    """One runtime.

    Attributes:
        latency: What it took.
        psnr: dB over RGB, if known.
        scores: Challenge's year to score; empty where PSNR, size or scale are not its own.
    """

    latency: Latency
    psnr: float | None
    scores: dict[int, float]


@dataclass
class Benchmark:
    """What was measured, on what.

    Attributes:
        label: The network.
        scale: Enlargement.
        rows: One per runtime.
        warmup: Runs that did not count.
        macs: Multiply-accumulates of the frame; None when unknown.
        parameters: Of the deployable network; None when unknown.
        machine: ``environment.describe()``.
    """

    label: str
    scale: int
    rows: list[Row]
    warmup: int
    macs: int | None = None
    parameters: int | None = None
    machine: dict[str, Any] = field(default_factory=environment.describe)

    def count(self, network: SRModel) -> None:
        """Add operations and parameters, where the network can be traced."""
        twin = collapse(network)
        self.parameters = count_parameters(twin)
        width, height = map(int, self.rows[0].latency.size.split("x"))
        try:
            self.macs = multiply_accumulates(trace(twin), height, width)
        except UnsupportedOperator:
            self.macs = None

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "network": self.label,
            "scale": self.scale,
            "parameters": self.parameters,
            "macs": self.macs,
            "method": METHOD,
            "warmup": self.warmup,
            "runtimes": [
                {**asdict(row.latency), "psnr_rgb": row.psnr, "challenge": row.scores}
                for row in self.rows
            ],
            "environment": self.machine,
        }


def benchmark(
    label: str,
    runtimes: Sequence[Runtime],
    psnr: Sequence[float | None],
    *,
    height: int,
    width: int,
    runs: int,
    warmup: int,
) -> Benchmark:
    """Time runtimes of one network.

    Args:
        label: The network's name.
        runtimes: What executes it.
        psnr: dB over RGB of each, where known.
        height: Of the low-res frame.
        width: Of the low-res frame.
        runs: Runs that count.
        warmup: Runs before them.

    Raises:
        UserError: A file is fixed to another size.
    """
    latencies = compare_latency(list(runtimes), height, width, runs, warmup)
    scale = runtimes[0].scale
    comparable = (height, width, scale) == (HEIGHT, WIDTH, CHALLENGE_SCALE)
    rows = [
        Row(
            latency,
            value,
            {year: challenge_score(value, latency.median, year) for year in CONSTANTS}
            if comparable and value is not None
            else {},
        )
        for latency, value in zip(latencies, psnr, strict=True)
    ]
    return Benchmark(label, scale, rows, warmup)


def measure_psnr(
    runtimes: Sequence[Runtime],
    specs: Sequence[str],
    *,
    data_dir: str | None,
    cache_dir: str | None,
    root: str | None,
) -> Iterator[float]:
    """RGB PSNR in dB of each runtime, mean over all images of the sets.

    Args:
        runtimes: What executes the network.
        specs: See `find_images`.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
        root: The folder that the set ``folder`` means.

    Raises:
        UserError: A set is not here.
    """
    scale = runtimes[0].scale
    sets, _ = load_sets(
        specs, scale, optional=False, data_dir=data_dir, cache_dir=cache_dir, root=root
    )
    for runtime in runtimes:
        yield fmean(
            psnr_rgb(predict_image(runtime, low_res), high_res, scale)
            for pairs in sets.values()
            for _, low_res, high_res in pairs
        )


def print_result(result: Benchmark) -> None:
    """Print a row per runtime, and the hardware it holds for."""
    first = result.rows[0].latency
    width, height = map(int, first.size.split("x"))
    enlarged = f"{width * result.scale}x{height * result.scale}"
    table = Table(title=f"{result.label}: {first.size} to {enlarged}")
    table.add_column("runtime", no_wrap=True)
    for column in ("threads", "median ms", "spread", "fps"):
        table.add_column(column, justify="right")
    scored = any(row.scores for row in result.rows)
    for year in CONSTANTS if scored else ():
        table.add_column(f"MAI {year}", justify="right")
    for row in result.rows:
        latency = row.latency
        scores = [f"{row.scores[year]:.2f}" if row.scores else "" for year in CONSTANTS]
        table.add_row(
            latency.runtime,
            str(latency.threads),
            f"{latency.median:.2f}",
            f"{latency.spread:.2f}",
            f"{1000 / latency.median:.1f}",
            *(scores if scored else ()),
        )
    console = Console(highlight=False)
    console.print(table)
    cpu = result.machine["cpu"]
    int8 = ", ".join(cpu["int8_instructions"]) or "no INT8 instructions"
    console.print(f"{first.runs} runs after {result.warmup} on {cpu['model']} ({int8})")
    if result.macs is not None:
        console.print(f"{result.macs / 1e9:.2f} GMAC, {result.parameters:,} parameters")
    if scored:
        console.print(
            "MAI: score 2^(2 PSNR) / (C ms) of the Mobile AI challenges, of this machine's time; "
            "theirs is of a Synaptics NPU"
        )
    elif any(row.psnr is not None for row in result.rows):
        console.print(f"no challenge score: it is for x{CHALLENGE_SCALE} of {WIDTH}x{HEIGHT}")
