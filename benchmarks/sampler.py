"""The batched sampler against reading image files, and the memory that sampling takes.

    python benchmarks/sampler.py [data=photos] [root=...] [scale=3] [runs=5] [batches=200]

All give batches of the same form, with the same augmentation: the sampler; PIL, decoding the
two files of each crop; a Dataset of that with a DataLoader of 2 workers; and, as the strongest
rival, the same DataLoader over images that are kept decoded in memory.
"""

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from loaders import CropsOfFiles
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import compose_data, parse
from sr_experiments.data import ImageFile, PatchSampler, SRData, find_images, packed

WORKERS = 2
MEMORY_COPIES = (1, 10, 40)  # sets of so many times the photos
MEMORY_BATCHES = 1000


@dataclass
class Options:
    """Options of the benchmark.

    data       an option of the group data
    root       the folder of images, for data=folder
    scale      enlargement
    runs       timed runs, of which the median counts
    batches    batches per run; a fiftieth of them where files are read
    """

    data: str = "photos"
    root: str | None = None
    scale: int = 3
    runs: int = 5
    batches: int = 200
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


class DarkenedCrops(CropsOfFiles):
    """Crops as the sampler makes them: float32 in [0, 1], darkened at random."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([self.data.seed, index, 1])
        factor = float(random.choice(np.array(self.data.intensity))) / 255
        low, high = super().__getitem__(index)
        return low.float().mul_(factor), high.float().mul_(factor)


def training_files(data: SRData) -> list[ImageFile]:
    """The training set's, an image as often as it is drawn."""
    return [
        file
        for spec in data.train
        for file in find_images(spec, data.data_dir, data.cache_dir, data.root)
    ]


def write_low_res(data: SRData, folder: Path) -> list[tuple[Path, Path]]:
    """Low-res PNG files, as sets publish them, beside the set's own high-res files."""
    files = training_files(data)
    store = packed(files, data.scale, data.cache_dir)
    pairs = []
    for index, file in enumerate(files):
        path = folder / f"{index}.png"
        Image.fromarray(store.low_res(index).permute(1, 2, 0).numpy()).save(path)
        pairs.append((path, file.path))
    return pairs


def measure(draw: Callable[[], object], batches: int, runs: int, batch_size: int) -> list[float]:
    """Images per second of each run, after one that warms up."""
    rates = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        for _ in range(batches):
            draw()
        rates.append(batches * batch_size / (time.perf_counter() - start))
    return rates[1:]


def loader_of(dataset: CropsOfFiles, batch_size: int) -> Iterator[object]:
    return iter(DataLoader(dataset, batch_size, num_workers=WORKERS))


def speed(options: Options, data: SRData) -> None:
    data.setup()
    store = packed(training_files(data), data.scale, data.cache_dir)
    # By itself, on all threads: training has the next batch made by one thread meanwhile.
    sampler = PatchSampler(store, data.batch_size, data.patch, data.seed)
    iterations = iter(range(1 << 30))
    print(f"{'':34}{'images/s':>10}  {'range':>17}  {'sampler is':>11}")
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_low_res(data, Path(folder))
        files, kept = (DarkenedCrops(pairs, data, keep=keep) for keep in (False, True))
        one_by_one = iter(range(1 << 30))
        few = max(2, options.batches // 50)
        rows: list[tuple[str, Callable[[], object], int]] = [
            ("sampler", lambda: sampler(next(iterations)), options.batches),
            (
                "PIL decode and crop",
                lambda: [files[next(one_by_one)] for _ in range(data.batch_size)],
                few,
            ),
        ]
        for name, dataset, batches in (
            (f"DataLoader, {WORKERS} workers, files", files, few),
            (f"DataLoader, {WORKERS} workers, decoded", kept, options.batches),
        ):
            loader = loader_of(dataset, data.batch_size)
            rows.append((name, lambda loader=loader: next(loader), batches))  # type: ignore[misc]
        ours = None
        for name, draw, batches in rows:
            rates = measure(draw, batches, options.runs, data.batch_size)
            ours = ours or median(rates)
            spread = f"{min(rates):.0f} to {max(rates):.0f}"
            ratio = f"{ours / median(rates):.1f} times"
            print(f"{name:34}{median(rates):10.0f}  {spread:>17}  {ratio:>11}")
            if name == "sampler":
                print(f"{'':34}{1e3 * data.batch_size / ours:10.2f}  ms per batch")


def status() -> dict[str, float]:
    """Resident memory of this process in MiB: its own, and mapped pages of files."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    values = dict(line.split(":", 1) for line in text.splitlines())
    return {name: int(values[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")}


def sample_and_report(copies: int, scale: int, cache: Path) -> None:
    """In a process of its own: sample a set of many copies of the photos."""
    photos = find_images("photos:train", None, cache)
    files = [
        ImageFile(f"{copy}/{file.name}", file.path) for copy in range(copies) for file in photos
    ]
    store = packed(files, scale, cache)
    sampler = PatchSampler(store, 16, 32, seed=1)
    sampler(0)
    before = status()
    for iteration in range(1, MEMORY_BATCHES):
        sampler(iteration)
    after = status()
    size = (store.low.numel() + store.high.numel()) / 2**20
    grown = {name: after[name] - before[name] for name in before}
    print(f"{size:10.0f}{grown['RssAnon']:16.1f}{grown['RssFile']:22.1f}")


def memory(scale: int) -> None:
    print(f"\nmemory that {MEMORY_BATCHES} batches add (MiB)")
    print(f"{'set':>10}{'the process':>16}{'pages of the file *':>22}", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for copies in MEMORY_COPIES:
            # The first process packs, so that the second one's memory is only the sampler's.
            words = [sys.executable, __file__, "--memory", str(copies), str(scale), cache]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(words, check=True)
    print("* shared with the system's file cache, which takes them back when it needs memory")


def main() -> None:
    options = parse(Options)
    overrides = [f"scale={options.scale}"]
    for key, value in (
        ("paths.data_dir", options.data_dir),
        ("paths.cache_dir", options.cache_dir),
        ("data.root", options.root),
    ):
        if value is not None:
            overrides.append(f"{key}='{value}'")
    data = compose_data(options.data, overrides)
    data.check()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}; data={options.data}, batches of {data.batch_size} crops of "
        f"{data.patch}x{data.patch} and {data.patch * data.scale}x{data.patch * data.scale}; "
        f"median of {options.runs} runs"
    )
    speed(options, data)
    if Path("/proc/self/status").is_file():
        memory(options.scale)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        sample_and_report(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        run_verb(main)
