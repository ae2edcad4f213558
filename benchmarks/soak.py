"""Train for an hour and measure INT8 a thousand times: memory and open files must stay flat.

    python benchmarks/soak.py [minutes=60] [measurements=1000] [output=outputs/soak] [key=value ...]

One run, on one thread, of a tiny network on crops of scikit-image's photos; every epoch quantises
it, writes a TFLite file and runs that. It ends once both numbers are reached. ``soak.csv`` has a
row per epoch: seconds, resident MiB, open files, threads, MiB that malloc has given out and not got
back, blocks that Python's allocator has. The last two tell a leak from memory that is free but
not returned to the system; glibc alone tells the first of them. Fails when the last quarter's
median is above that of the second one by more than a hundredth and 4 MiB of resident memory, by a
hundredth and 1 MiB of malloc's, by a hundredth of Python's blocks, or by a file or a thread.
Further words go to the run.
"""

import csv
import ctypes
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import lightning.pytorch as pl
import numpy as np
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
TABLE = "soak.csv"
COLUMNS = ("measurements", "seconds", "rss_mib", "files", "threads", "malloc_mib", "blocks")
SHARE = 0.01  # what a measure of memory may grow by
ROOM = {"rss_mib": 4.0, "malloc_mib": 1.0, "blocks": 0.0}  # and besides, in its unit
MIB = 2**20
WORDS = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data=folder",
    "data.batch_size=4",
    "data.patch=12",
    "data.steps_per_epoch=20",
    "trainer.epochs=1000000",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "run_name=soak",
]


class MallInfo(ctypes.Structure):
    """glibc's ``struct mallinfo2`` (malloc.h), ten sizes."""

    _fields_ = [("sizes", ctypes.c_size_t * 10)]


def given_out() -> float:
    """Bytes that malloc has given out and not got back, mapped ones too; NaN without glibc 2.33."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return math.nan
    ask.restype = MallInfo
    sizes = ask().sizes
    return float(sizes[4] + sizes[7])  # hblkhd and uordblks


class Meter(pl.Callback):
    """Write a row after every epoch, and end the training when there has been enough.

    Args:
        minutes: At least.
        measurements: At least.
        table: The CSV.
    """

    def __init__(self, minutes: float, measurements: int, table: str) -> None:
        self.minutes, self.measurements = minutes, measurements
        self.table = Path(table)
        self.started = time.monotonic()
        self.count = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measured while everything is as it is between two epochs."""
        self.count += "val_int8/psnr" in trainer.callback_metrics
        seconds = time.monotonic() - self.started
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        row = (
            self.count,
            f"{seconds:.1f}",
            f"{pages * os.sysconf('SC_PAGE_SIZE') / MIB:.2f}",
            len(list(Path("/proc/self/fd").iterdir())),
            len(list(Path("/proc/self/task").iterdir())),
            f"{given_out() / MIB:.2f}",
            sys.getallocatedblocks(),
        )
        with self.table.open("a", newline="") as file:
            csv.writer(file).writerow(row)
        if self.count >= self.measurements and seconds >= 60 * self.minutes:
            trainer.should_stop = True


def crops(folder: Path) -> None:
    """Six crops of a photo; the last one validates and is small, for speed."""
    photo = data.astronaut()
    for number, size in enumerate((120, 120, 120, 120, 120, 72)):
        top, left = divmod(number * 64, 256)
        part = np.ascontiguousarray(photo[top * 40 : top * 40 + size, left : left + size])
        Image.fromarray(part).save(folder / f"{number}.png")


def judge(rows: list[dict[str, float]]) -> list[str]:
    """What is not flat: the last quarter's medians against those of the second."""
    quarter = len(rows) // 4
    found = []
    for name in COLUMNS[2:]:
        early, late = (
            median(row[name] for row in part)
            for part in (rows[quarter : 2 * quarter], rows[-quarter:])
        )
        most = SHARE * early + ROOM[name] if name in ROOM else 0.0
        print(f"{name}: {early:g} in the second quarter, {late:g} in the last")
        if late - early > most:
            found.append(name)
    return found


def main() -> None:
    given = {"minutes": "60", "measurements": "1000", "output": "outputs/soak"}
    words = []
    for word in sys.argv[1:]:
        key, _, value = word.partition("=")
        if key in given:
            given[key] = value
        else:
            words.append(word)
    output = Path(given["output"]).absolute()
    if output.exists():
        raise SystemExit(f"error: output={output} is there already; name another folder")
    (output / "photos").mkdir(parents=True)
    crops(output / "photos")
    table = output / TABLE
    meter = f"minutes: {given['minutes']}, measurements: {given['measurements']}, table: '{table}'"
    places = [f"data.root={output / 'photos'}", f"paths.output_dir={output}"]
    places.append(f"paths.cache_dir={output / 'cache'}")
    places.append(f"+callbacks.meter={{_target_: soak.Meter, {meter}}}")
    path = os.pathsep.join([str(Path(__file__).resolve().parent), str(ROOT)])
    with (output / "soak.log").open("wb") as log:
        code = subprocess.run(
            [sys.executable, "-m", "sr_experiments", *WORDS, *places, *words],
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        raise SystemExit((output / "soak.log").read_text()[-2000:])
    with table.open(newline="") as file:
        rows = [
            {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file, COLUMNS)
        ]
    print(f"{rows[-1]['measurements']:.0f} measurements in {rows[-1]['seconds'] / 60:.1f} minutes")
    print(f"rss_mib: {min(r['rss_mib'] for r in rows)} to {max(r['rss_mib'] for r in rows)}")
    grown = judge(rows)
    if grown:
        raise SystemExit(f"not flat: {', '.join(grown)}")


if __name__ == "__main__":
    main()
