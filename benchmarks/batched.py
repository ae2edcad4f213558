"""Several small networks at once, against one after the other.

    python benchmarks/batched.py [model=xlsr] [counts=[1,2,4,8,16]] [turns=5] [output=batched.json]

For each number of runs, the same networks (each of another seed), batches and Adam in every row:

- ``alone``: a block of steps of each run, one run after the other; on a GPU a CUDA graph each, as
  ``trainer.steps_per_batch`` trains;
- ``batched``: the same block of all of them as one batched network and one Adam, as
  ``hydra/launcher=batched`` trains with ``trainer.steps_per_batch``;
- ``met``: single steps at which the runs meet, each with an optimiser of its own, as it trains
  without.

Rivals take turns, a block each; medians and ranges of the turns are shown, counted in steps of a
single run per second. Quote ratios: the machine is whatever it is.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.optim import Optimizer

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.stages import plan
from sr_experiments.configuration.verbs import parse
from sr_experiments.data import Draw
from sr_experiments.reporting.environment import describe
from sr_experiments.tasks import RegressionTask
from sr_experiments.tasks.capture import CAPTURABLE, Graph
from sr_experiments.tasks.grouped import BatchedBlocks, BatchedSteps, Block, Step
from sr_experiments.training.parts import build

RATE = 1e-4
ALONE, BATCHED, MET = RIVALS = ("alone", "batched", "met")


@dataclass
class Options:
    """Options of the benchmark.

    data       an option of the group data
    model      an option of the group model
    words      further words of the runs' command line
    counts     numbers of runs
    steps      of a block
    turns      of each rival, of which the median counts
    device     cpu or cuda
    output     a JSON file for the results; its PNG is the plot
    """

    data: str = "photos"
    model: str = "xlsr"
    words: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16])
    steps: int = 2
    turns: int = 5
    device: str = "cpu"
    output: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


@dataclass
class Row:
    """A rival: steps of a single run per second, all runs counted."""

    name: str
    runs: int
    steps_per_second: float
    lowest: float
    highest: float


@dataclass
class Results:
    """What the JSON file holds."""

    schema_version: int
    model: str
    data: str
    batch: int
    patch: int
    device: str
    threads: int
    load: float
    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)


def check(results: dict[str, Any]) -> Results:
    """Results as they are read back; a key too many or too few, or a wrong number, fails."""
    made = Results(**{**results, "rows": [Row(**row) for row in results["rows"]]})
    assert made.schema_version == 1
    for row in made.rows:
        assert row.name in RIVALS
        assert 0 < row.lowest <= row.steps_per_second <= row.highest
    return made


@dataclass
class Run:
    """A network with its batches and its optimiser."""

    task: RegressionTask
    optimizer: Optimizer
    graph: Graph | None = None

    @classmethod
    def of(cls, options: Options, seed: int) -> "Run":
        """As ``seed=...`` would train."""
        words = [f"model={options.model}", f"data={options.data}", f"seed={seed}", *options.words]
        for key in ("data_dir", "cache_dir"):
            if getattr(options, key) is not None:
                words.append(f"paths.{key}='{getattr(options, key)}'")
        words += ["trainer.steps_per_batch=2", f"trainer.accelerator={options.device}"]
        (stage,) = plan(words)
        task = build(stage).task
        assert isinstance(task, RegressionTask)
        task.data.setup(torch.device(options.device))
        task.to(options.device)
        return cls(task, task.configure_optimizers()["optimizer"])

    def draws(self, steps: int) -> Draw:
        """What the next batches are cut by."""
        drawn = [self.task.data.draw(self.task.iteration + step) for step in range(steps)]
        self.task.iteration += steps
        return Draw(*(torch.stack(values) for values in zip(*drawn, strict=True)))

    def block(self, steps: int) -> None:
        """Train by itself."""
        task = self.task
        assert task.blocks is not None
        if self.optimizer.state and task.device.type == "cuda":
            draws = self.draws(steps)
            self.graph = self.graph or Graph(task.blocks, self.optimizer, draws)
            self.graph.replay(draws, torch.full((steps, 1), RATE))
            return
        if task.device.type == "cuda":
            for group in self.optimizer.param_groups:
                group[CAPTURABLE] = True
        for _ in range(steps):
            loss, _ = task.losses(*task.train_batch())
            task.blocks.descend(self.optimizer, loss)
            task.iteration += 1


def rivals(options: Options, count: int) -> dict[str, Callable[[], None]]:
    """By name, what trains a block of all runs."""
    alone, batched, met = ([Run.of(options, seed) for seed in range(count)] for _ in RIVALS)
    steps, kept = options.steps, dict[str, Any]()

    def train_alone() -> None:
        for run in alone:
            run.block(steps)

    def train_batched() -> None:
        rates = torch.full((steps, 1), RATE, dtype=torch.float64)
        offers = [Block(run.task, run.optimizer, None, run.draws(steps), rates) for run in batched]
        blocks = kept.setdefault(BATCHED, None) or BatchedBlocks(offers)
        kept[BATCHED] = blocks
        blocks(offers)

    def train_met() -> None:
        for _ in range(steps):
            offers = [Step(run.task, *run.task.train_batch()) for run in met]
            together = kept.setdefault(MET, None) or BatchedSteps(offers)
            kept[MET] = together
            for run, answer in zip(met, together(offers), strict=True):
                if isinstance(answer, Exception):
                    raise answer
                assert run.task.blocks is not None
                run.task.blocks.descend(run.optimizer, answer[0])
                run.task.iteration += 1

    return dict(zip(RIVALS, (train_alone, train_batched, train_met), strict=True))


def measured(options: Options, count: int) -> list[Row]:
    """The rows of so many runs."""
    trained = rivals(options, count)
    times: dict[str, list[float]] = {name: [] for name in trained}
    for turn in range(-2, options.turns):  # the first two warm up; on a GPU they capture
        for name, train in trained.items():
            start = time.perf_counter()
            train()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if turn >= 0:
                times[name].append(count * options.steps / (time.perf_counter() - start))
    return [
        Row(name, count, median(rates), min(rates), max(rates)) for name, rates in times.items()
    ]


def plotted(results: Results, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, colour in zip(RIVALS, ("#404040", "#4878a8", "#c87838"), strict=True):
        rows = [row for row in results.rows if row.name == name]
        rates = [row.steps_per_second for row in rows]
        spread = [
            [row.steps_per_second - row.lowest for row in rows],
            [row.highest - row.steps_per_second for row in rows],
        ]
        axis.errorbar(
            [row.runs for row in rows], rates, spread, color=colour, capsize=3, label=name
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted({row.runs for row in results.rows}))
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.set_ylim(0)
    axis.set_xlabel(f"runs of {results.model}, {results.device}, {results.threads} threads")
    axis.set_ylabel("steps of a run per second")
    axis.legend()
    figure.savefig(file)


def show(results: Results) -> None:
    print(
        f"{results.model} on {results.device}, {results.threads} threads, load {results.load:.1f}"
    )
    print(f"{'runs':>4}  {'':8}{'steps/s':>9}{'range':>18}{'times':>7}")
    for row in results.rows:
        alone = next(item for item in results.rows if (item.name, item.runs) == (ALONE, row.runs))
        spread = f"{row.lowest:.1f} to {row.highest:.1f}"
        times = row.steps_per_second / alone.steps_per_second
        print(f"{row.runs:4}  {row.name:8}{row.steps_per_second:9.1f}{spread:>18}{times:7.2f}")


def main() -> None:
    options = parse(Options)
    rows = [row for count in options.counts for row in measured(options, count)]
    data = Run.of(options, 0).task.data
    load = float(Path("/proc/loadavg").read_text().split()[0]) if Path("/proc").is_dir() else 0.0
    results = Results(
        1, options.model, options.data, data.batch_size, data.patch, options.device,
        torch.get_num_threads(), load, describe(), rows,
    )  # fmt: skip
    show(results)
    if options.output is not None:
        file = Path(options.output)
        text = json.dumps(asdict(results), indent=1)
        check(json.loads(text))
        file.write_text(text + "\n", encoding="utf-8")
        plotted(results, file.with_suffix(".png"))


if __name__ == "__main__":
    run_verb(main)
