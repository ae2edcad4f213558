"""Latency and memory with their method and hardware, and the challenges' score from them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from statistics import fmean
from typing import Any

from torch import Tensor

from sr_experiments.deploy.challenge import CONSTANTS, challenge_score
from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.latency import Latency, compare_latency
from sr_experiments.deploy.layers import Layers, time_layers
from sr_experiments.deploy.memory import peak_memory
from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel, collapse, count_parameters
from sr_experiments.quantization.trace import UnsupportedOperator, trace
from sr_experiments.reporting import environment
from sr_experiments.reporting.evaluation import load_sets
from sr_experiments.reporting.shipping import HEIGHT, WIDTH

SCHEMA_VERSION = 2
CHALLENGE_SCALE = 3
METHOD = (
    "one frame of random pixels, its input in place and its output left where it is; all in turn; "
    "median and interquartile range; memory: what a process of its own grows by at most"
)


@dataclass(frozen=True)
class Candidate:
    """One network in one runtime.

    Attributes:
        network: Its name.
        runtime: What executes it.
        psnr: dB over RGB, if known.
        again: Opens it, in another process too.
        libraries: Modules that opening it imports.
        memory: Peak in MiB, if measured.
    """

    network: str
    runtime: Runtime
    psnr: float | None = None
    again: Callable[[], Runtime] | None = None
    libraries: tuple[str, ...] = ()
    memory: float | None = None

    def with_memory(self, height: int, width: int) -> "Candidate":
        """The same with its peak memory for a frame of this size."""
        if self.again is None:
            return self
        memory = peak_memory(self.again, height, width, self.libraries)
        return replace(self, memory=memory)


@dataclass(frozen=True)
class Row:
    """What one candidate took.

    Attributes:
        network: Its name.
        scale: Enlargement.
        latency: Of the frame.
        ratio: Its median by that of the first candidate.
        memory: Peak in MiB; None where it was not measured.
        psnr: dB over RGB, if known.
        scores: Challenge's year to score; empty where PSNR, size or scale are not its own.
        layers: Each operator; None where they were not timed.
    """

    network: str
    scale: int
    latency: Latency
    ratio: float
    memory: float | None
    psnr: float | None
    scores: dict[int, float]
    layers: Layers | None

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "network": self.network,
            "scale": self.scale,
            **asdict(self.latency),
            "ratio": self.ratio,
            "memory_mib": self.memory,
            "psnr_rgb": self.psnr,
            "challenge": self.scores,
            "layers": None if self.layers is None else asdict(self.layers),
        }


@dataclass
class Benchmark:
    """What was measured, on what.

    Attributes:
        rows: One per candidate.
        warmup: Runs that did not count.
        costs: Network to its parameters, as deployed, and multiply-accumulates of the frame; None
            where it cannot be traced.
        machine: ``environment.describe()``.
    """

    rows: list[Row]
    warmup: int
    costs: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=environment.describe)

    def count(self, label: str, network: SRModel) -> None:
        """Add parameters and operations of a network."""
        twin = collapse(network)
        width, height = map(int, self.rows[0].latency.size.split("x"))
        try:
            macs: int | None = multiply_accumulates(trace(twin), height, width)
        except UnsupportedOperator:
            macs = None
        self.costs[label] = count_parameters(twin), macs

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "method": METHOD,
            "warmup": self.warmup,
            "networks": {
                label: {"parameters": parameters, "macs": macs}
                for label, (parameters, macs) in self.costs.items()
            },
            "runtimes": [row.as_json() for row in self.rows],
            "environment": self.machine,
        }


def benchmark(
    candidates: Sequence[Candidate],
    *,
    height: int,
    width: int,
    runs: int,
    warmup: int,
    layers: bool = False,
) -> Benchmark:
    """Time candidates in turn, one frame each.

    Args:
        candidates: The first is what the others are compared with.
        height: Of the low-res frame.
        width: Of the low-res frame.
        runs: Runs that count.
        warmup: Runs before them.
        layers: Time each operator as well, afterwards.

    Raises:
        UserError: A file is fixed to another size.
    """
    runtimes = [candidate.runtime for candidate in candidates]
    latencies = compare_latency(runtimes, height, width, runs, warmup)
    rows = [
        Row(
            candidate.network,
            candidate.runtime.scale,
            latency,
            latency.median / latencies[0].median,
            candidate.memory,
            candidate.psnr,
            scores(candidate.psnr, latency.median, (height, width, candidate.runtime.scale)),
            time_layers(candidate.runtime, height, width, runs, warmup) if layers else None,
        )
        for candidate, latency in zip(candidates, latencies, strict=True)
    ]
    return Benchmark(rows, warmup)


def scores(
    psnr: float | None, milliseconds: float, frame: tuple[int, int, int]
) -> dict[int, float]:
    """The challenges' scores, by year.

    Args:
        psnr: dB over RGB; None: unknown.
        milliseconds: What the frame took.
        frame: Its height, width and scale: only 360, 640 and 3 are the challenges'.
    """
    if psnr is None or frame != (HEIGHT, WIDTH, CHALLENGE_SCALE):
        return {}
    return {year: challenge_score(psnr, milliseconds, year) for year in CONSTANTS}


def measure_psnr(
    candidates: Sequence[Candidate],
    specs: Sequence[str],
    *,
    data_dir: str | None,
    cache_dir: str | None,
    root: str | None,
) -> Iterator[Candidate]:
    """The candidates with their RGB PSNR in dB, mean over all images of the sets.

    Args:
        candidates: What executes the networks.
        specs: See `find_images`.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
        root: The folder that the set ``folder`` means.

    Raises:
        UserError: A set is not here.
    """

    @cache
    def pairs(scale: int) -> list[tuple[Tensor, Tensor]]:
        places = {"data_dir": data_dir, "cache_dir": cache_dir, "root": root}
        sets, _ = load_sets(specs, scale, optional=False, **places)
        return [(low_res, high_res) for images in sets.values() for _, low_res, high_res in images]

    for candidate in candidates:
        scale = candidate.runtime.scale
        psnr = fmean(
            psnr_rgb(predict_image(candidate.runtime, low_res), high_res, scale)
            for low_res, high_res in pairs(scale)
        )
        yield replace(candidate, psnr=psnr)
