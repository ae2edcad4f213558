"""Packed faces against reading and resizing their files for every batch.

    python benchmarks/glasses_store.py [data=gan_faces] [sizes=[32,64,128]] [side=1024] [runs=5]

The files are the set's own, enlarged to ``side`` pixels and saved as PNG first, because Kaggle's
faces are PNG of 1024 pixels (``side=null`` reads the files as they are); ``different`` files stand
for ``count`` pictures. For each size: time to pack; bytes on disk in one file and of a
shard of 450, beside the TFRecord shard of the glasses paper; pages of the shards that are in
memory once one, then all, have been read; and images per second of every way, batches of
32 in random order: median of the runs, with their least and greatest. Seconds are those of the CPU:
a run of files takes a thousand times longer than one of packed pictures, so that other jobs of the
machine would slow it alone. ``output=`` writes all of it
as JSON.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import parse
from sr_experiments.data import (
    LabelledData,
    LabelledFile,
    LabelledImages,
    load_square,
    packed_labelled,
)
from sr_experiments.files import write_json
from sr_experiments.reporting import environment

BATCH = 32
PAPER_MB = {32: 1.1, 64: 3.6, 128: 13.0}  # of a TFRecord file of 450 pictures
KAGGLE = 4500  # labelled pictures there


@dataclass
class Options:
    """Options of the benchmark.

    data       an option of the group data that holds labelled pictures
    sizes      height and width of the packed pictures, one after the other
    side       height and width of the PNG files that are read; null: the files as they are
    different  pictures of the set, at most, that become files
    count      pictures that are packed and read: those files, again and again
    shard      pictures per shard
    runs       timed runs, of which the median counts
    threads    CPU threads
    output     a .json file for the result
    """

    data: str = "gan_faces"
    sizes: list[int] = field(default_factory=lambda: [32, 64, 128])
    side: int | None = 1024
    different: int = 100
    count: int = 900
    shard: int = 450
    runs: int = 5
    threads: int = 1
    output: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def measure(read: Callable[[Tensor], object], count: int, batches: int, runs: int) -> list[float]:
    """Images per CPU second of each run, after one that warms up; the same order for every way."""
    rates = []
    for run in range(runs + 1):
        random = np.random.default_rng(run)
        order = [torch.from_numpy(random.integers(count, size=BATCH)) for _ in range(batches)]
        start = time.process_time()
        for indices in order:
            read(indices)
        rates.append(batches * BATCH / (time.process_time() - start))
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
    found = data.listed()[: min(options.different, options.count)]
    machine = environment.describe()
    print(
        f"{environment.cpu()['model']}, {options.threads} thread(s), {options.count} pictures, "
        f"{len(found)} different ones of {options.data}"
    )
    with tempfile.TemporaryDirectory() as folder:
        files = found if options.side is None else enlarge(found, options.side, Path(folder))
        mean = statistics.fmean(file.path.stat().st_size for file in files)
        kind = "as they are" if options.side is None else f"PNG of {options.side}x{options.side}"
        total = KAGGLE * mean / 1e9
        print(f"files: {mean / 1e6:.3f} MB each, {kind}; {KAGGLE} of them: {total:.2f} GB")
        shown = [files[index % len(files)] for index in range(options.count)]
        named = [
            LabelledFile(f"{index}-{file.name}", file.path, file.label)
            for index, file in enumerate(shown)
        ]
        results = [report(named, size, options, Path(folder)) for size in options.sizes]
    if options.output is not None:
        kept = {key: value for key, value in asdict(options).items() if "_dir" not in key}
        kept.pop("output")
        write_json(
            Path(options.output).expanduser(),
            {
                "benchmark": "glasses_store",
                "machine": machine,
                "options": kept,
                "file_mb": mean / 1e6,
                "results": results,
            },
        )


def enlarge(listed: list[LabelledFile], side: int, folder: Path) -> list[LabelledFile]:
    """The pictures as PNG files of another size."""
    files = []
    for number, file in enumerate(listed):
        pixels = load_square(file.path, side).permute(1, 2, 0).numpy()
        path = folder / f"face-{number}.png"
        Image.fromarray(pixels).save(path)
        files.append(LabelledFile(path.name, path, file.label))
    return files


def report(files: list[LabelledFile], size: int, options: Options, folder: Path) -> dict[str, Any]:
    """Print and return the figures of one size."""
    start = time.process_time()
    whole = packed_labelled(files, size, folder / "whole")
    seconds = time.process_time() - start
    small = shrunk(files, whole, folder / f"small{size}")
    shards = packed_labelled(small, size, folder / f"shards{size}", options.shard)
    first = max(
        path.stat().st_size for path in (folder / f"shards{size}" / "packed").glob("*.safetensors")
    )
    memory = resident(
        lambda: packed_labelled(small, size, folder / f"shards{size}", options.shard),
        folder / f"shards{size}",
    )
    total = KAGGLE * whole.bytes / len(files)
    print(
        f"\n{size}x{size}: packed in {seconds:.1f} s, {whole.bytes / 1e6:.2f} MB in one file "
        f"({total / 1e9:.3f} GB for {KAGGLE}); a shard of {options.shard}: {first / 1e6:.2f} MB"
        + (f" (paper, 450: {PAPER_MB[size]} MB)" if size in PAPER_MB else "")
    )
    print(
        f"  pages in memory, MB: {memory['opened']:.1f} once opened, {memory['one_shard']:.1f} "
        f"with one shard read, {memory['all']:.1f} with all {len(shards.shards)} read"
    )
    ways: dict[str, tuple[Callable[[Tensor], object], int]] = {
        "files": (
            lambda indices: (
                torch.stack([load_square(files[index].path, size) for index in indices.tolist()])
                .float()
                .div_(255)
            ),
            1,
        ),
        "shards": (lambda indices: shards.pixels(indices).float().div_(255), 100),
        "packed": (lambda indices: whole.pixels(indices).float().div_(255), 200),
    }
    rates = {}
    for name, (read, batches) in ways.items():
        measured = measure(read, len(files), batches, options.runs)
        middle = statistics.median(measured)
        rates[name] = {"median": middle, "least": min(measured), "greatest": max(measured)}
        ratio = middle / rates["files"]["median"]
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        print(f"  {name:<15}{middle:>12,.0f} images/s ({spread}), x{ratio:,.0f}")
    return {
        "size": size,
        "pack_seconds": seconds,
        "packed_mb": whole.bytes / 1e6,
        "shard_mb": first / 1e6,
        "paper_shard_mb": PAPER_MB.get(size),
        "memory_mb": memory,
        "images_per_second": rates,
    }


def shrunk(files: list[LabelledFile], store: LabelledImages, folder: Path) -> list[LabelledFile]:
    """The packed pictures as files, so that packing them again as shards decodes little."""
    folder.mkdir()
    small = []
    for index, file in enumerate(files):
        pixels = store.pixels(torch.tensor([index]))[0].permute(1, 2, 0).contiguous().numpy()
        path = folder / f"{index}.png"
        Image.fromarray(pixels).save(path)
        small.append(LabelledFile(file.name, path, file.label))
    return small


def resident(open_set: Callable[[], LabelledImages], folder: Path) -> dict[str, float]:
    """Megabytes of the files in ``folder`` that this process has in memory, step by step.

    They are pages of the files, which the system takes back when it needs memory.
    """
    store = open_set()
    grown = {"opened": _resident(folder)}
    for name, places in (("one_shard", store.shards[:1]), ("all", store.shards)):
        for pixels in places:
            pixels[:].sum()
        grown[name] = _resident(folder)
    return grown


def _resident(folder: Path) -> float:
    total, within = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "kB" not in line:
            within = str(folder) in line  # the head of a mapping; its sizes follow
        elif within and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total * 1024 / 1e6


if __name__ == "__main__":
    run_verb(lambda: main(sys.argv[1:]))
