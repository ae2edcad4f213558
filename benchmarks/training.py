"""Steps of training, side by side with the loop that people write, and where their time goes.

    python benchmarks/training.py [model=xlsr] [runs=5] [seconds=2] [output=training.json]

The same network, loss, optimiser and crops in every row:

- ``DataLoader``: a Dataset of PNG files, one random crop of each, uint8 crops, 2 persistent
  workers with prefetch, and eager PyTorch on contiguous float32 tensors;
- ``sampler``: this package's batches and step, float32, with channels last or not;
- ``bf16``: the same with bf16 layers; with ``compile=true`` also compiled.

Rivals take turns, each for a few seconds; medians and ranges of the turns are shown. Quote
ratios: the machine is whatever it is.
"""

import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from crops import decode, turned_crops
from hydra.utils import instantiate
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sr_experiments.configuration.compose import compose
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import compose_data, parse, run_verb
from sr_experiments.data import SRData, find_images, packed
from sr_experiments.losses import Charbonnier
from sr_experiments.reporting.environment import describe

WORKERS = 2
WARM = 5  # steps before a clock runs
GEMM = 1024  # side of the matrices that the ceiling of arithmetic is measured on
COPY = 64  # MiB, of what is copied for the ceiling of memory


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
    patches    further patches, each with the sampler alone
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
    output: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


@dataclass
class Row:
    """One rival: steps per second, and the share of time that it waited for batches."""

    name: str
    batch: int
    patch: int
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
    assert made.schema_version == 1
    for row in made.rows:
        assert row.lowest <= row.steps_per_second <= row.highest
        assert 0 <= row.share_in_data <= 1
    return made


class CropsOfFiles(Dataset[tuple[Tensor, Tensor]]):
    """One random crop, turned at random, of a random image, which is read for it."""

    def __init__(self, pairs: list[tuple[Path, Path]], data: SRData) -> None:
        self.pairs, self.data = pairs, data

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([self.data.seed, index])
        low, high = map(decode, self.pairs[int(random.integers(len(self.pairs)))])
        return turned_crops(low, high, self.data.patch, self.data.scale, random)


def loaded(data: SRData, folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a DataLoader over PNG files, as float32 in [0, 1]."""
    files = [
        file
        for spec in data.train
        for file in find_images(spec, data.data_dir, data.cache_dir, data.root)
    ]
    store = packed(files, data.scale, data.cache_dir)
    pairs = []
    for index in range(len(files)):
        pair = folder / f"{index}-low.png", folder / f"{index}-high.png"
        for path, image in zip(pair, (store.low_res(index), store.high_res(index)), strict=True):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
        pairs.append(pair)
    loader = DataLoader(
        CropsOfFiles(pairs, data),
        data.batch_size,
        num_workers=WORKERS,
        persistent_workers=True,
        prefetch_factor=4,
    )
    for low_res, high_res in loader:
        yield low_res.float().div_(255), high_res.float().div_(255)


@dataclass
class Rival:
    """A loop: where its batches come from and what it does with one."""

    name: str
    data: SRData
    draw: Callable[[], tuple[Tensor, Tensor]]
    step: Callable[[Tensor, Tensor], Tensor]
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    loss: float = 0.0

    def turn(self, seconds: float) -> None:
        """Train for so long."""
        start = time.perf_counter()
        steps, drawing = 0, 0.0
        while time.perf_counter() - start < seconds or steps == 0:
            begun = time.perf_counter()
            batch = self.draw()
            drawing += time.perf_counter() - begun
            self.loss = float(self.step(*batch))
            steps += 1
        took = time.perf_counter() - start
        self.rates.append(steps / took)
        self.shares.append(drawing / took)

    def row(self) -> Row:
        """Medians of the turns."""
        rate, batch = median(self.rates), self.data.batch_size
        return Row(
            self.name, batch, self.data.patch, rate, min(self.rates), max(self.rates),
            rate * batch, median(self.shares), self.loss,
        )  # fmt: skip


def stepper(
    options: Options, *, channels_last: bool, bf16: bool, compiled: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of training on a batch; its loss."""
    torch.manual_seed(1)
    order = torch.channels_last if channels_last else torch.contiguous_format
    node = compose([f"model={options.model}", f"scale={options.scale}"]).model
    network: nn.Module = instantiate(node, _convert_="all").to(memory_format=order)
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


def sampled(options: Options, name: str, data: SRData, **how: bool) -> Rival:
    """A rival on the package's own batches."""
    numbers = iter(range(1 << 30))
    return Rival(name, data, lambda: data.train_batch(next(numbers)), stepper(options, **how))


def make_data(options: Options, **values: int) -> SRData:
    words = [f"scale={options.scale}", *(f"data.{key}={value}" for key, value in values.items())]
    for key in ("data_dir", "cache_dir"):
        if getattr(options, key) is not None:
            words.append(f"paths.{key}='{getattr(options, key)}'")
    data = compose_data(options.data, words)
    data.setup()
    assert isinstance(data, SRData)
    return data


def best_of(action: Callable[[], object], runs: int = 7) -> float:
    """Seconds of the fastest run: a ceiling is what the machine can do undisturbed."""
    action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def gemm(dtype: torch.dtype) -> float:
    """Floating-point operations per second of a matrix product."""
    a, b = (torch.rand(GEMM, GEMM, dtype=dtype) for _ in range(2))
    return 2 * GEMM**3 / best_of(lambda: a @ b)


def copying() -> float:
    """Bytes read and written per second."""
    source = torch.rand(COPY * 2**18)
    target = torch.empty_like(source)
    return 2 * COPY * 2**20 / best_of(lambda: target.copy_(source))


def counted(options: Options, data: SRData) -> tuple[float, float]:
    """Operations and bytes of a step, counted over the layers of the network.

    Operations are twice the multiplications of the convolutions: forward, and two more passes of
    as many for both gradients (one for a layer that reads the picture). Bytes are float32 values
    of every layer's input and output, read or written once in each of the three passes, and Adam's
    seven of each parameter: what no cache could save.
    """
    node = compose([f"model={options.model}", f"scale={options.scale}"]).model
    network: nn.Module = instantiate(node, _convert_="all")
    flop, moved = 0.0, 28.0 * sum(p.numel() for p in network.parameters())

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flop, moved
        passes = 2 if inputs[0].shape[1] == 3 else 3
        moved += 3 * 4 * (inputs[0].numel() + output.numel())
        if isinstance(module, nn.Conv2d):
            flop += passes * 2 * module.weight[0].numel() * output.numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(seen)
    network(torch.rand(data.batch_size, 3, data.patch, data.patch))
    return flop, moved


def plotted(results: Results, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt

    main = [row for row in results.rows if row.batch == results.rows[0].batch]
    main = [row for row in main if row.patch == results.rows[0].patch]
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.45 * len(main)), layout="constrained")
    rates = [row.steps_per_second for row in main]
    spread = [
        [row.steps_per_second - row.lowest for row in main],
        [row.highest - row.steps_per_second for row in main],
    ]
    axis.barh([row.name for row in main], rates, xerr=spread, color="#4878a8", capsize=3)
    axis.invert_yaxis()
    axis.set_xlabel(f"steps per second, {results.model}, {results.threads} threads")
    figure.savefig(file)


def main() -> None:
    options = parse(Options)
    data = make_data(options)
    with tempfile.TemporaryDirectory() as folder:
        batches = loaded(data, Path(folder))
        rivals = [
            Rival(
                f"DataLoader of PNG, {WORKERS} workers, eager",
                data,
                lambda: next(batches),
                stepper(options, channels_last=False, bf16=False),
            ),
            sampled(options, "sampler, eager", data, channels_last=False, bf16=False),
            sampled(options, "sampler, channels-last", data, channels_last=True, bf16=False),
            sampled(options, "sampler, channels-last bf16", data, channels_last=True, bf16=True),
        ]
        if options.compile:
            how = {"channels_last": True, "bf16": True, "compiled": True}
            rivals.append(sampled(options, "sampler, channels-last bf16 compiled", data, **how))
        sizes = [("batch_size", size) for size in options.batches]
        sizes += [("patch", size) for size in options.patches]
        for key, size in sizes:
            other = make_data(options, **{key: size})
            how = {"channels_last": True, "bf16": True}
            rivals.append(sampled(options, f"sampler, bf16, {key} {size}", other, **how))
        for rival in rivals:
            for _ in range(WARM):
                rival.step(*rival.draw())
        for _ in range(options.runs):
            for rival in rivals:
                rival.turn(options.seconds)
    flop, moved = counted(options, data)
    load = float(Path("/proc/loadavg").read_text().split()[0]) if Path("/proc").is_dir() else 0.0
    ceilings = {"float32": gemm(torch.float32), "bfloat16": gemm(torch.bfloat16)}
    results = Results(
        1, options.model, options.data, options.scale, torch.get_num_threads(), load, describe(),
        flop, moved, ceilings, copying(), [rival.row() for rival in rivals],
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
        f"{platform.machine()}, {results.threads} threads, load {results.load:.1f}; "
        f"{results.flop_per_step / 1e9:.2f} GFLOP and {results.bytes_per_step / 1e6:.0f} MB a step"
    )
    for name, rate in results.gemm_flop_per_second.items():
        floor = 1e3 * results.flop_per_step / rate
        print(f"{name} product: {rate / 1e9:.0f} GFLOP/s, floor {floor:.1f} ms a step")
    floor = 1e3 * results.bytes_per_step / results.copy_bytes_per_second
    print(f"copy: {results.copy_bytes_per_second / 1e9:.1f} GB/s, floor {floor:.1f} ms a step")
    slowest = results.rows[0].steps_per_second
    print(f"{'':40}{'steps/s':>9}{'range':>16}{'images/s':>10}{'in data':>9}{'times':>7}")
    for row in results.rows:
        spread = f"{row.lowest:.1f} to {row.highest:.1f}"
        print(
            f"{row.name:40}{row.steps_per_second:9.1f}{spread:>16}{row.images_per_second:10.0f}"
            f"{row.share_in_data:9.1%}{row.steps_per_second / slowest:7.2f}"
        )


if __name__ == "__main__":
    run_verb(main)
