"""``table=swift_srgan_3``: time and memory of one frame of SRGAN, ESRGAN and Swift-SRGAN.

Neither depends on what a network has learnt, so seeded random weights do. Every runtime is first
asked for a small picture, which must have the right size and more than one colour. A device is
waited for before the clock is read. The runtimes of a small frame are timed in turn; those of a
large one by themselves, since all of them at once need more than 14 GiB to make a 4K picture.

Time and memory grow with the pixels, so the small frame tells what the large one would take: what
is beyond ``limit`` or the memory that is free is left out, with that estimate in its row. Ctrl-C
ends it with the rows that are there.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from sr_experiments.deploy.latency import Latency, compare_latency
from sr_experiments.deploy.memory import available_memory, peak_memory
from sr_experiments.deploy.runtimes import LiteRTRuntime, Runtime
from sr_experiments.deploy.tflite import float_model, half_model
from sr_experiments.deploy.torch_runtime import TorchRuntime
from sr_experiments.errors import UserError
from sr_experiments.models import collapse
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.papers import SWIFT_SRGAN_PAPER, SWIFT_SRGAN_TABLE_3
from sr_experiments.reporting.tables.measured import Entry, count, int8_file
from sr_experiments.reporting.tables.swift_srgan_2 import NETWORKS, SCALE
from sr_experiments.reporting.tables.table import Cell, Column, Row, Table

FEW = 30  # runs below which a row says how many there were
WARMUP = 1
TOGETHER = 270 * 480  # pixels of the largest frame whose runtimes are all kept in memory
SIDE = 24  # of the picture that each runtime is checked with
MIB = 1024**2
LIBRARIES = ("torch", "sr_experiments.deploy.litert")

COLUMNS = (
    Column("frame", "frame"),
    Column("method", "method"),
    Column("paper_ms", "paper ms", ".4g", "on a Tesla K80"),
    Column("runtime", "runtime"),
    Column("ms", "our ms", ".1f", "median"),
    Column("spread", "spread", ".1f", "interquartile range, ms", room=120),
    Column("runs", "runs", "d", room=120),
    Column("slower", "times Swift", ".1f", "times the median of Swift-SRGAN in that runtime"),
    Column("memory", "MiB", ",.0f", "peak beyond the libraries; on a GPU, of its memory"),
    Column("parameters", "parameters", ",d"),
    Column("gmacs", "GMAC", ",.0f", "multiply-accumulates of the frame, in thousands of millions"),
)


@dataclass(frozen=True)
class Kind:
    """A way to run a network.

    Attributes:
        name: What the table calls it.
        open: Makes the runtime of an entry.
    """

    name: str
    open: Callable[[Entry], Runtime]


@dataclass(frozen=True)
class Need:
    """What a frame takes.

    Attributes:
        pixels: Of the low-res frame.
        seconds: Of one run; 0 where nothing is known.
        mebibytes: Peak; 0 where nothing is known.
    """

    pixels: int = 1
    seconds: float = 0.0
    mebibytes: float = 0.0

    @classmethod
    def of(cls, row: Row, pixels: int) -> "Need":
        """What a row of the table found."""
        found = [row.get(key) for key in ("ms", "memory")]
        milliseconds, mebibytes = (x if isinstance(x, float) else 0.0 for x in found)
        return cls(pixels, milliseconds / 1000, mebibytes)

    def at(self, pixels: int) -> "Need":
        """Of a frame with so many pixels, in proportion."""
        factor = pixels / self.pixels
        return Need(pixels, self.seconds * factor, self.mebibytes * factor)

    def too_much(self, limit: float, free: float | None) -> str | None:
        """Why the frame is left out; None where it is not.

        Args:
            limit: Seconds.
            free: MiB; None where that is not known.
        """
        if self.seconds > limit:
            return f"left out: about {self.seconds:.0f} s"
        if free is not None and self.mebibytes > free:
            return f"left out: about {self.mebibytes / 1024:.1f} GiB"
        return None


def kinds(device: str, threads: int) -> list[Kind]:
    """FP32, half precision and INT8 as the device has them.

    Half precision is FP16 arithmetic on a GPU. On a CPU, where torch's is emulated,
    it is LiteRT's file of FP16 weights.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
    """
    int8 = Kind("INT8 LiteRT", partial(_int8_file, threads))
    if device == "cuda":
        eager = (("FP32", False), ("FP16", True))
        return [*(Kind(f"{name} torch cuda", partial(_torch, half)) for name, half in eager), int8]
    files = (("FP32", float_model), ("FP16", half_model))
    return [*(Kind(f"{name} LiteRT", partial(_file, threads, form)) for name, form in files), int8]


def _torch(half: bool, entry: Entry) -> Runtime:
    return TorchRuntime(collapse(entry.build()), "cuda", channels_last=True, half=half)


def _file(threads: int, form: Callable[[Graph], bytes], entry: Entry) -> Runtime:
    return LiteRTRuntime(form(trace(collapse(entry.build()))), threads)


def _int8_file(threads: int, entry: Entry) -> Runtime:
    return LiteRTRuntime(int8_file(entry), threads)


def table(
    entry_of: Callable[[str], Entry],
    *,
    device: str,
    threads: int,
    repeats: int,
    patience: float,
    limit: float = math.inf,
    models: Sequence[str] | None = None,
    advance: Callable[[str], None] = lambda doing: None,
) -> Table:
    """Time and memory, as table III.

    Args:
        entry_of: The network that an option of ``conf/model`` is, at x4.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
        repeats: Timed runs of each.
        patience: Seconds after which one run is enough for a network.
        limit: Seconds beyond which a frame is left out.
        models: Only these options of ``conf/model``; None: all three.
        advance: Told what is next.

    Raises:
        UserError: There is no such device, or a runtime makes no pictures.
        KeyboardInterrupt: Before the first row.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA device here; use device=cpu")
    wanted = {method: name for method, name in NETWORKS.items() if models is None or name in models}
    if not wanted:
        raise UserError(f"models=: table=swift_srgan_3 is of {', '.join(NETWORKS.values())}")
    rows: list[dict[str, Cell]] = []
    notes = _notes(repeats, device)
    try:
        for row in _rows(entry_of, wanted, device, threads, repeats, patience, limit, advance):
            rows.append(row)
    except KeyboardInterrupt:
        if not rows:
            raise
        notes.append("Interrupted: what is missing was not measured.")
    frames = list(dict.fromkeys(row["frame"] for row in rows))
    return Table(
        "swift_srgan_3",
        f"{SWIFT_SRGAN_PAPER}, table III: time per frame",
        "What the paper prints, and what the same networks take here.",
        COLUMNS,
        [list(_compared([row for row in rows if row["frame"] == frame])) for frame in frames],
        notes,
        sortable=False,
    )


def _rows(
    entry_of: Callable[[str], Entry],
    wanted: Mapping[str, str],
    device: str,
    threads: int,
    repeats: int,
    patience: float,
    limit: float,
    advance: Callable[[str], None],
) -> Iterator[dict[str, Cell]]:
    """Frame by frame and network by network, each row once it is measured."""
    smaller: dict[tuple[str, str], Need] = {}
    for (height, width), printed in SWIFT_SRGAN_TABLE_3.items():
        for method, name in wanted.items():
            entry = entry_of(name)
            costs = count(entry)
            assert costs.macs is not None
            share = height * width / (360 * 640)
            about: dict[str, Cell] = {
                "frame": f"{width}x{height} x{SCALE}",
                "method": method,
                "paper_ms": printed[method],
                "parameters": costs.parameters,
                "gmacs": costs.macs * share / 1e9,
            }
            ways = []
            for way in kinds(device, threads):
                need = smaller.get((method, way.name), Need()).at(height * width)
                reason = need.too_much(limit, None if device == "cuda" else available_memory())
                if reason is None:
                    ways.append(way)
                else:
                    yield about | {"runtime": way.name, "ms": reason}
            advance(f"{method}, {width}x{height}")
            for row in _timed(entry, ways, (height, width), repeats, patience):
                smaller[method, str(row["runtime"])] = Need.of(row, height * width)
                yield about | row


def _timed(
    entry: Entry, ways: Sequence[Kind], size: tuple[int, int], repeats: int, patience: float
) -> Iterator[dict[str, Cell]]:
    """Each way's figures for one network and frame."""
    together = size[0] * size[1] <= TOGETHER
    for group in [ways] * bool(ways) if together else [[way] for way in ways]:
        runtimes = [way.open(entry) for way in group]
        for way, runtime in zip(group, runtimes, strict=True):
            check_picture(runtime, f"{entry.name} in {way.name}")
        latencies = compare_latency(runtimes, *size, repeats, WARMUP, patience)
        del runtimes, runtime
        for way, latency in zip(group, latencies, strict=True):
            yield {
                "runtime": way.name,
                "ms": latency.median,
                "spread": latency.spread,
                "runs": latency.runs,
                "memory": _memory(way, entry, size, latency, patience),
            }


def check_picture(runtime: Runtime, what: str) -> None:
    """See that a runtime makes pictures, not nothing in no time.

    Raises:
        UserError: Its output has another size, is of one colour, or is not finite.
    """
    frame = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    made = runtime.predict(frame)
    if made.shape != (1, SCALE * SIDE, SCALE * SIDE, 3):
        raise UserError(f"{what} makes {made.shape} of {frame.shape}")
    if not np.isfinite(made).all() or made.std() == 0:
        raise UserError(f"{what} makes no picture: values are not finite, or all the same")


def _memory(
    way: Kind, entry: Entry, size: tuple[int, int], latency: Latency, patience: float
) -> Cell:
    if "cuda" in way.name:
        torch.cuda.reset_peak_memory_stats()
        runtime = way.open(entry)
        frame = np.zeros((1, *size, 3), np.uint8)
        runtime.prepare(frame)()
        return torch.cuda.max_memory_allocated() / MIB
    if latency.median > 1000 * patience:
        return "too slow"
    return peak_memory(partial(way.open, entry), *size, LIBRARIES)


def _compared(rows: Sequence[dict[str, Cell]]) -> Iterator[Row]:
    """Rows with their times of Swift-SRGAN's in the same runtime."""
    own = {row["runtime"]: row["ms"] for row in rows if row["method"] == "Swift-SRGAN"}
    for row in rows:
        base, milliseconds = own.get(row["runtime"]), row["ms"]
        if isinstance(base, float) and isinstance(milliseconds, float):
            row["slower"] = milliseconds / base
        yield row


def _notes(repeats: int, device: str) -> list[str]:
    notes = [
        "Ours: one frame of random pixels, input in place and output left there, median; the "
        "runtimes of one network in turn at 270p, one after the other at 540p; random weights, "
        "batch norm folded; output first checked to be a picture.",
        "The paper's clock: a Tesla K80, batch and precision not stated. Its times for "
        "Swift-SRGAN are 145 (270p) and 74 (540p) times below SRGAN's, far more than the "
        "operations in the last column; and 4 times the pixels of Swift-SRGAN take 2.9 times as "
        "long, of SRGAN 1.5 times, in its own table.",
        "Swift-SRGAN's 9x9 depthwise convolutions ship as dense ones in LiteRT, which is faster "
        "there; its operations are counted so.",
    ]
    if device == "cpu":
        notes.append("FP16 on a CPU is of the weights: LiteRT computes in FP32.")
    if repeats < FEW:
        notes.append(f"{repeats} runs were asked for; the column runs has those that counted.")
    return notes
