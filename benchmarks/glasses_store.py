"""Packed faces against reading and resizing their files for every batch.

    python benchmarks/glasses_store.py [data=gan_faces] [sizes=[32,64,128]] [side=1024] [runs=5]

The files are the set's own, enlarged to ``side`` pixels and saved as PNG first, because Kaggle's
faces are PNG of 1024 pixels (``side=null`` reads the files as they are). Printed for each size:
time to pack, bytes packed in one file and in shards, and images per second of both ways, batches
of 32 in random order: median of the runs, with their least and greatest.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import parse, run_verb
from sr_experiments.data import LabelledData, LabelledFile, load_square, packed_labelled
from sr_experiments.reporting import environment

BATCH = 32


@dataclass
class Options:
    """Options of the benchmark.

    data       an option of the group data that holds labelled pictures
    sizes      height and width of the packed pictures, one after the other
    side       height and width of the PNG files that are read; null: the files as they are
    count      pictures, at most; they are repeated where the set has fewer
    shard      pictures per shard
    runs       timed runs, of which the median counts
    threads    CPU threads
    """

    data: str = "gan_faces"
    sizes: list[int] = field(default_factory=lambda: [32, 64, 128])
    side: int | None = 1024
    count: int = 200
    shard: int = 450
    runs: int = 5
    threads: int = 1
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def measure(read: Callable[[Tensor], object], count: int, batches: int, runs: int) -> list[float]:
    """Images per second of each run, after one that warms up; the same order for every way."""
    rates = []
    for run in range(runs + 1):
        random = np.random.default_rng(run)
        order = [torch.from_numpy(random.integers(count, size=BATCH)) for _ in range(batches)]
        start = time.perf_counter()
        for indices in order:
            read(indices)
        rates.append(batches * BATCH / (time.perf_counter() - start))
    return rates[1:]


def main(words: list[str] | None = None) -> None:
    options = parse(Options, words)
    from hydra.utils import instantiate

    from sr_experiments.configuration.compose import check

    torch.set_num_threads(options.threads)
    config = check(
        [f"data={options.data}", f"paths.data_dir='{options.data_dir}'", "task=classification"]
    )
    data = instantiate(config.data, _convert_="all")
    assert isinstance(data, LabelledData)
    listed = data.listed()[: options.count]
    cpu = environment.cpu()
    print(f"{cpu['model']}, {options.threads} thread(s), {len(listed)} pictures of {options.data}")
    with tempfile.TemporaryDirectory() as folder:
        files = listed if options.side is None else enlarge(listed, options.side, Path(folder))
        total = sum(file.path.stat().st_size for file in files)
        print(f"files: {total / 1e6:.1f} MB, {'as they are' if options.side is None else 'PNG'}")
        for size in options.sizes:
            report(files, size, options, Path(folder))


def enlarge(listed: list[LabelledFile], side: int, folder: Path) -> list[LabelledFile]:
    """The pictures as PNG files of another size."""
    files = []
    for number, file in enumerate(listed):
        pixels = load_square(file.path, side).permute(1, 2, 0).numpy()
        path = folder / f"face-{number}.png"
        Image.fromarray(pixels).save(path, compress_level=1)
        files.append(LabelledFile(path.name, path, file.label))
    return files


def report(files: list[LabelledFile], size: int, options: Options, folder: Path) -> None:
    """Print the line of one size."""
    start = time.perf_counter()
    whole = packed_labelled(files, size, folder / "whole")
    seconds = time.perf_counter() - start
    shards = packed_labelled(files, size, folder / "shards", options.shard)
    per_shard = 8 + 3 * size**2
    ways: dict[str, tuple[Callable[[Tensor], object], int]] = {
        "packed": (lambda indices: whole.pixels(indices).float().div_(255), 200),
        f"shards of {options.shard}": (lambda i: shards.pixels(i).float().div_(255), 100),
        "files": (
            lambda indices: (
                torch.stack([load_square(files[index].path, size) for index in indices.tolist()])
                .float()
                .div_(255)
            ),
            2,
        ),
    }
    print(
        f"\n{size}x{size}: packed in {seconds:.1f} s, {whole.bytes / 1e6:.2f} MB in one file; a "
        f"shard of 450 takes {450 * per_shard / 1e6:.2f} MB on disk and at most that of memory"
    )
    base = None
    for name, (read, batches) in reversed(ways.items()):
        rates = measure(read, len(files), batches, options.runs)
        middle = statistics.median(rates)
        base = base or middle
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        print(f"  {name:<15}{middle:>12,.0f} images/s ({spread}), x{middle / base:,.0f}")


if __name__ == "__main__":
    run_verb(lambda: main(sys.argv[1:]))
