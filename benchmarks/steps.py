r"""Steps per second of a whole training, as Lightning takes them, one way beside another.

    python benchmarks/steps.py [words=[model=xlsr]] [ways=[...]] [turns=5] [output=steps.json]
    python benchmarks/steps.py words=[task=gan,model=swift_srgan,scale=4,...,scheduler=constant]
    python benchmarks/steps.py words=[model=xlsr,trainer.accelerator=cuda] steps=2000 \
        ways=[trainer.steps_per_batch=1,trainer.steps_per_batch=100]

``words`` are those of ``python -m sr_experiments``; each of ``ways`` adds words of its own, parted
by spaces. What runs is the task of the command line with its data, losses and logging, without
files and without validation, so no schedule may wait for one. The ways take turns of ``steps``
steps; medians and ranges of the turns are shown, with the share of the time that steps waited for
batches, and what ``schedule`` steps would take. Quote ratios: the machine is whatever it is.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.stages import plan
from sr_experiments.configuration.verbs import parse
from sr_experiments.reporting.environment import describe
from sr_experiments.tasks import Task
from sr_experiments.training.parts import build
from sr_experiments.training.trainer import device, make_trainer, quiet_lightning

SCHEMA = 1
WAYS = [
    "trainer.channels_last=false",
    "trainer.channels_last=true",
    "trainer.precision=bf16-mixed",
    "trainer.precision=bf16-mixed trainer.compile=true",
]


@dataclass
class Options:
    """Options of the benchmark.

    words      what all ways have in common
    ways       words of each, parted by spaces
    steps      of a turn, after a first batch that is not timed
    turns      of each way, of which the median counts
    schedule   steps of the training whose length is told
    output     a JSON file for the results
    """

    words: list[str] = field(default_factory=lambda: ["model=xlsr"])
    ways: list[str] = field(default_factory=lambda: list(WAYS))
    steps: int = 40
    turns: int = 5
    schedule: int = 500_000
    output: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


@dataclass
class Row:
    """A way: steps per second, and the share of the time that they waited for batches."""

    way: str
    steps_per_second: float
    lowest: float
    highest: float
    share_in_data: float


@dataclass
class Results:
    """What the JSON file holds."""

    schema_version: int
    words: list[str]
    steps: int
    turns: int
    load: float
    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)


def check(results: dict[str, Any]) -> Results:
    """Results as they are read back; a key too many or too few, or a wrong number, fails."""
    made = Results(**{**results, "rows": [Row(**row) for row in results["rows"]]})
    assert made.schema_version == SCHEMA
    for row in made.rows:
        assert 0 < row.lowest <= row.steps_per_second <= row.highest
        assert 0 <= row.share_in_data <= 1
    return made


class Clock(pl.Callback):
    """Steps, seconds and seconds without a batch from the end of the first batch on."""

    def __init__(self) -> None:
        self.start = (0, 0.0, 0.0)
        self.taken = (0, 0.0, 0.0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Start, or read."""
        assert isinstance(pl_module, Task)
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = pl_module.iteration, time.perf_counter(), pl_module.waited
        if trainer.fit_loop.epoch_loop.batch_idx == 0:
            self.start = now
        steps, seconds, waited = (b - a for a, b in zip(self.start, now, strict=True))
        self.taken = int(steps), seconds, waited


class Way:
    """A task that is trained for a turn at a time."""

    def __init__(self, words: list[str], more: str, steps: int) -> None:
        (stage,) = plan([*words, *more.split(), "trainer.epochs=1"])
        self.name, self.config = more, stage.config.trainer
        parts = build(stage)
        self.task = parts.task
        block = self.config.steps_per_batch
        self.task.data.steps_per_epoch = block * (1 + -(-steps // block))
        self.task.data.setup(device(self.config))
        if self.config.compile:
            self.task.compile_step()
        self.rates: list[float] = []
        self.shares: list[float] = []

    def turn(self) -> None:
        """Train."""
        clock, clips = Clock(), self.task.automatic_optimization
        trainer = make_trainer(self.config, 1, [clock], None, clips=clips)
        trainer.limit_val_batches = 0
        trainer.fit(self.task)
        steps, seconds, waited = clock.taken
        self.rates.append(steps / seconds)
        self.shares.append(waited / seconds)

    def row(self) -> Row:
        """Medians of the turns."""
        rates = self.rates
        return Row(self.name, median(rates), min(rates), max(rates), median(self.shares))


def main() -> None:
    options = parse(Options)
    quiet_lightning()
    words = list(options.words)
    for key in ("data_dir", "cache_dir"):
        if getattr(options, key) is not None:
            words.append(f"paths.{key}='{getattr(options, key)}'")
    load = float(Path("/proc/loadavg").read_text().split()[0]) if Path("/proc").is_dir() else 0.0
    ways = [Way(words, more, options.steps) for more in options.ways]
    for _ in range(options.turns):
        for way in ways:
            way.turn()
    results = Results(
        SCHEMA, options.words, options.steps, options.turns, load, describe(),
        [way.row() for way in ways],
    )  # fmt: skip
    show(results, options.schedule)
    if options.output is not None:
        text = json.dumps(asdict(results), indent=1)
        check(json.loads(text))
        Path(options.output).write_text(text + "\n", encoding="utf-8")


def show(results: Results, schedule: int) -> None:
    print(f"{' '.join(results.words)}; load before it {results.load:.1f}")
    print(
        f"{'':52}{'steps/s':>9}{'range':>18}{'in data':>9}{'times':>7}{f'{schedule:,} steps':>16}"
    )
    first = results.rows[0].steps_per_second
    for row in results.rows:
        spread = f"{row.lowest:.2f} to {row.highest:.2f}"
        minutes = schedule / row.steps_per_second / 60
        print(
            f"{row.way:52}{row.steps_per_second:9.2f}{spread:>18}{row.share_in_data:9.1%}"
            f"{row.steps_per_second / first:7.2f}{minutes:12.1f} min"
        )


if __name__ == "__main__":
    run_verb(main)
