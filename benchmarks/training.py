"""Steps of training, side by side with the loop that people write, and where their time goes.

    python benchmarks/training.py [model=xlsr] [runs=5] [seconds=2] [output=training.json]

The same network, loss, optimiser and crops in every row:

- ``DataLoader``: see ``loaders.py``, and eager PyTorch on contiguous float32 tensors; each with
  every number of torch's threads, because they and the workers share the cores;
- ``sampler``: this package's batches and step, float32, with channels last or not;
- ``bf16``: the same with bf16 layers; with ``compile=true`` also compiled; ``in line``: without
  the thread that makes the next batch meanwhile.

Rivals take turns, each for a few seconds, and the workers of one do not live on into the turn of
another. Medians and ranges of the turns are shown; ``times`` counts in the fastest DataLoader of
whole PNG files. Quote ratios: the machine is whatever it is.
"""

import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ceilings import copying, counted, gemm
from hydra.utils import instantiate
from loaders import TILE, WORKERS, CropsOfFiles, opened, written
from torch import Tensor, nn

from sr_experiments.configuration.compose import compose
from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import compose_data, parse
from sr_experiments.data import SRData
from sr_experiments.losses import Charbonnier
from sr_experiments.reporting.environment import describe

SCHEMA = 2
WARM = 3  # steps of each turn before its clock runs
PLAIN = "DataLoader of PNG"

Batch = tuple[Tensor, Tensor]
Draw = Callable[[], Batch]


@dataclass
class Options:
    """Options of the benchmark.

    data       an option of the group data
    model      an option of the group model
    scale      enlargement
    runs       turns of each rival, of which the median counts
    seconds    length of a turn
    compile    also compile the step
    batches    further batch sizes, and
    patches    further patches, and
    copies     sets of so many times the photos, each with the sampler alone
    output     a JSON file for the results; its PNG is the plot
    """

    data: str = "photos"
    model: str = "xlsr"
    scale: int = 3
    runs: int = 5
    seconds: float = 2.0
    compile: bool = False
    batches: list[int] = field(default_factory=lambda: [4, 64])
    patches: list[int] = field(default_factory=lambda: [16, 64])
    copies: list[int] = field(default_factory=lambda: [10, 40])
    output: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


@dataclass
class Row:
    """One rival: steps per second, and the share of time that it waited for batches.

    Attributes:
        name: What it does.
        kind: ``loader``, ``sampler``, or ``batch``, ``patch``, ``set``: what else it varies.
        threads: Of torch.
        batch: Crops.
        patch: Side of the low-res ones.
        images: In the set.
    """

    name: str
    kind: str
    threads: int
    batch: int
    patch: int
    images: int
    steps_per_second: float
    lowest: float
    highest: float
    images_per_second: float
    share_in_data: float
    last_loss: float


@dataclass
class Results:
    """What the JSON file holds."""

    schema_version: int
    model: str
    data: str
    scale: int
    threads: int
    load: float
    environment: dict[str, Any]
    flop_per_step: float
    bytes_per_step: float
    gemm_flop_per_second: dict[str, float]
    copy_bytes_per_second: float
    rows: list[Row] = field(default_factory=list)


def check(results: dict[str, Any]) -> Results:
    """Results as they are read back; a key too many or too few, or a wrong number, fails."""
    made = Results(**{**results, "rows": [Row(**row) for row in results["rows"]]})
    assert made.schema_version == SCHEMA
    for row in made.rows:
        assert row.lowest <= row.steps_per_second <= row.highest
        assert 0 <= row.share_in_data <= 1
        assert min(row.threads, row.batch, row.patch, row.images) >= 1
        assert row.kind in ("loader", "sampler", "batch", "patch", "set")
    return made


@dataclass
class Rival:
    """A loop: where its batches come from and what it does with one."""

    name: str
    kind: str
    threads: int
    data: SRData
    open: Callable[[], AbstractContextManager[Draw]]
    step: Callable[[Tensor, Tensor], Tensor]
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    loss: float = 0.0

    def turn(self, seconds: float) -> None:
        """Train for so long."""
        torch.set_num_threads(self.threads)
        with self.open() as draw:
            for _ in range(WARM):
                self.step(*draw())
            start = time.perf_counter()
            steps, drawing = 0, 0.0
            while time.perf_counter() - start < seconds or steps == 0:
                begun = time.perf_counter()
                batch = draw()
                drawing += time.perf_counter() - begun
                self.loss = float(self.step(*batch))
                steps += 1
            took = time.perf_counter() - start
        self.rates.append(steps / took)
        self.shares.append(drawing / took)

    def row(self) -> Row:
        """Medians of the turns."""
        rate, data = median(self.rates), self.data
        return Row(
            self.name, self.kind, self.threads, data.batch_size, data.patch, data.sizes()["train"],
            rate, min(self.rates), max(self.rates), rate * data.batch_size, median(self.shares),
            self.loss,
        )  # fmt: skip


def stepper(
    options: Options, *, channels_last: bool = False, bf16: bool = False, compiled: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of training on a batch; its loss."""
    torch.manual_seed(1)
    order = torch.channels_last if channels_last else torch.contiguous_format
    network = network_of(options).to(memory_format=order)
    run = torch.compile(network) if compiled else network
    loss_of = Charbonnier()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def step(low_res: Tensor, high_res: Tensor) -> Tensor:
        low_res, high_res = (x.contiguous(memory_format=order) for x in (low_res, high_res))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            prediction = run(low_res)
        loss: Tensor = loss_of(prediction.float(), high_res)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    return step


def network_of(options: Options) -> nn.Module:
    node = compose([f"model={options.model}", f"scale={options.scale}"]).model
    network: nn.Module = instantiate(node, _convert_="all")
    return network


@contextmanager
def loaded(dataset: CropsOfFiles) -> Iterator[Draw]:
    with opened(dataset) as batches:
        yield lambda: next(batches)


@contextmanager
def sampled(data: SRData, *, ahead: bool = True) -> Iterator[Draw]:
    numbers = iter(range(1 << 30))
    take = data.train_batch if ahead else lambda number: data.cut(data.draw(number))
    yield lambda: take(next(numbers))


def make_data(options: Options, **values: object) -> SRData:
    words = [f"scale={options.scale}", *(f"data.{key}={value}" for key, value in values.items())]
    for key in ("data_dir", "cache_dir"):
        if getattr(options, key) is not None:
            words.append(f"paths.{key}='{getattr(options, key)}'")
    data = compose_data(options.data, words)
    data.setup()
    assert isinstance(data, SRData)
    return data


def loaders(options: Options, data: SRData, folder: Path) -> list[Rival]:
    """The loops that people write."""
    whole = written(data, folder / "whole")
    kinds = {
        f"{PLAIN}, {WORKERS} workers": CropsOfFiles(whole, data),
        f"of PNG tiles of {TILE}": CropsOfFiles(written(data, folder / "tiles", TILE), data),
        "of decoded photos": CropsOfFiles(whole, data, keep=True),
    }
    return [
        Rival(name, "loader", threads, data, lambda kind=kind: loaded(kind), stepper(options))  # type: ignore[misc]
        for name, kind in kinds.items()
        for threads in sorted({1, torch.get_num_threads()})
    ]


def samplers(options: Options, data: SRData) -> list[Rival]:
    """This package's loops: what they are made of one by one, then other sizes."""
    threads = torch.get_num_threads()
    fastest = {"channels_last": True, "bf16": True}

    def rival(name: str, kind: str, data: SRData, ahead: bool = True, **how: bool) -> Rival:
        return Rival(
            name, kind, threads, data, lambda: sampled(data, ahead=ahead), stepper(options, **how)
        )

    rivals = [
        rival("sampler, eager", "sampler", data),
        rival("sampler, channels-last", "sampler", data, channels_last=True),
        rival("sampler in line, channels-last bf16", "sampler", data, ahead=False, **fastest),
        rival("sampler, channels-last bf16", "sampler", data, **fastest),
    ]
    if options.compile:
        name = "sampler, channels-last bf16 compiled"
        rivals.append(rival(name, "sampler", data, compiled=True, **fastest))
    for size in options.batches:
        other = make_data(options, batch_size=size)
        rivals.append(rival(f"bf16, batch {size}", "batch", other, **fastest))
    for size in options.patches:
        other = make_data(options, patch=size)
        rivals.append(rival(f"bf16, patch {size}", "patch", other, **fastest))
    for count in options.copies:
        other = make_data(options, train="[" + ",".join(data.train * count) + "]")
        images = other.sizes()["train"]
        rivals.append(rival(f"bf16, set of {images} photos", "set", other, **fastest))
    return rivals


def plotted(results: Results, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt

    main = [row for row in results.rows if row.kind in ("loader", "sampler")]
    sizes = {"batch": "batch", "patch": "patch", "set": "images"}
    figure = plt.figure(figsize=(8, 3.2 + 0.36 * len(main)), layout="constrained")
    grid = figure.add_gridspec(2, len(sizes), height_ratios=[0.36 * len(main), 2.4])
    axis = figure.add_subplot(grid[0, :])
    rates = [row.steps_per_second for row in main]
    spread = [
        [row.steps_per_second - row.lowest for row in main],
        [row.highest - row.steps_per_second for row in main],
    ]
    colours = ["#b0b0b0" if row.kind == "loader" else "#4878a8" for row in main]
    names = [f"{row.name}, {row.threads} thread{'s'[: row.threads - 1]}" for row in main]
    axis.barh(names, rates, xerr=spread, color=colours, capsize=3)
    axis.invert_yaxis()
    axis.set_xlabel(f"steps per second, {results.model}, batch {main[0].batch}")
    usual = next(row for row in main if row.name == "sampler, channels-last bf16")
    for column, (kind, name) in enumerate(sizes.items()):
        axis = figure.add_subplot(grid[1, column])
        rows = [usual, *(row for row in results.rows if row.kind == kind)]
        points = sorted(
            (getattr(row, name), 1e-6 * row.images_per_second * row.patch**2) for row in rows
        )
        axis.plot(*zip(*points, strict=True), "o-", color="#4878a8")
        axis.set(xscale="log", xlabel={"images": "photos in the set"}.get(name, name))
        axis.set_ylim(0, 1.1 * max(rate for _, rate in points))
        axis.set_xticks([at for at, _ in points], [str(at) for at, _ in points], minor=False)
        axis.minorticks_off()
        if column == 0:
            axis.set_ylabel("low-res Mpixel per second")
    figure.savefig(file)


def main() -> None:
    options = parse(Options)
    data = make_data(options)
    threads = torch.get_num_threads()
    load = float(Path("/proc/loadavg").read_text().split()[0]) if Path("/proc").is_dir() else 0.0
    with tempfile.TemporaryDirectory() as folder:
        rivals = [
            *loaders(options, data, Path(folder)),
            *samplers(options, data),
        ]
        for _ in range(options.runs):
            for rival in rivals:
                rival.turn(options.seconds)
    torch.set_num_threads(threads)
    flop, moved = counted(network_of(options), data.batch_size, data.patch)
    peaks = {"float32": gemm(torch.float32), "bfloat16": gemm(torch.bfloat16)}
    results = Results(
        SCHEMA, options.model, options.data, options.scale, threads, load, describe(), flop, moved,
        peaks, copying(), [rival.row() for rival in rivals],
    )  # fmt: skip
    show(results)
    if options.output is not None:
        file = Path(options.output)
        text = json.dumps(asdict(results), indent=1)
        check(json.loads(text))
        file.write_text(text + "\n", encoding="utf-8")
        plotted(results, file.with_suffix(".png"))


def show(results: Results) -> None:
    print(
        f"{platform.machine()}, {results.threads} threads, load before it {results.load:.1f}; "
        f"{results.flop_per_step / 1e9:.2f} GFLOP and {results.bytes_per_step / 1e6:.0f} MB a step"
    )
    for name, rate in results.gemm_flop_per_second.items():
        floor = 1e3 * results.flop_per_step / rate
        print(f"{name} product: {rate / 1e9:.0f} GFLOP/s, floor {floor:.1f} ms a step")
    floor = 1e3 * results.bytes_per_step / results.copy_bytes_per_second
    print(f"copy: {results.copy_bytes_per_second / 1e9:.1f} GB/s, floor {floor:.1f} ms a step")
    rival = max(row.steps_per_second for row in results.rows if row.name.startswith(PLAIN))
    head = f"{'':36}{'threads':>8}{'steps/s':>9}{'range':>16}{'images/s':>10}{'in data':>9}"
    print(f"{head}{'times':>7}")
    for row in results.rows:
        spread = f"{row.lowest:.1f} to {row.highest:.1f}"
        print(
            f"{row.name:36}{row.threads:8}{row.steps_per_second:9.1f}{spread:>16}"
            f"{row.images_per_second:10.0f}{row.share_in_data:9.1%}"
            f"{row.steps_per_second / rival:7.2f}"
        )


if __name__ == "__main__":
    run_verb(main)
