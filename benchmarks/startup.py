"""Time from the command to the first training step, and what it consists of.

    python benchmarks/startup.py [runs=5] [key=value ...]

Each run is a process of its own. Further words go to the training command.
"""

import json
import subprocess
import sys
import tempfile
from statistics import median

CHILD = """
import sys, time, json
marks = [("interpreter", time.time())]
def mark(name): marks.append((name, time.time()))
def after(owner, attribute, name):
    original = getattr(owner, attribute)
    def wrapped(*args, **kwargs):
        result = original(*args, **kwargs)
        mark(name)
        return result
    setattr(owner, attribute, wrapped)
from sr_experiments import __main__
import sr_experiments.configuration.compose as compose
mark("import of Hydra")
after(compose, "check", "compose and check the configuration")
original = __main__._train
def train_job(*args, **kwargs):
    mark("Hydra composes again and starts the job")
    import torch
    mark("import of torch")
    import lightning.pytorch
    mark("import of lightning")
    from sr_experiments import train
    mark("import of the rest")
    after(train, "preflight", "build, check, open (or pack) the data")
    after(train, "fix_execution", "run folder")
    after(train, "build", "build network, data and task")
    from sr_experiments.tasks import RegressionTask
    step = RegressionTask.training_step
    def first(self, *args):
        mark("Lightning starts")
        step(self, *args)
        mark("first step")
        print("MARKS" + json.dumps(marks), flush=True)
        import os
        os._exit(0)
    RegressionTask.training_step = first
    return original(*args, **kwargs)
__main__._train = train_job
__main__.main(sys.argv[1:])
"""


def one_run(words: list[str]) -> dict[str, float]:
    """Seconds of each phase of one start."""
    import time

    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        result = subprocess.run(
            [sys.executable, "-c", CHILD, f"paths.output_dir={folder}", *words],
            capture_output=True,
            text=True,
            check=False,
        )
    line = next((line for line in result.stdout.splitlines() if line.startswith("MARKS")), None)
    if line is None:
        raise SystemExit(f"the training command failed:\n{result.stdout}{result.stderr}")
    phases, previous = {}, start
    for name, moment in json.loads(line.removeprefix("MARKS")):
        phases[name] = moment - previous
        previous = moment
    return phases


def main() -> None:
    words = sys.argv[1:]
    runs = next((int(word.removeprefix("runs=")) for word in words if word.startswith("runs=")), 5)
    words = [word for word in words if not word.startswith("runs=")]
    one_run(words)  # fills the file cache and packs the data
    samples = [one_run(words) for _ in range(runs)]
    total = [sum(sample.values()) for sample in samples]
    print(f"{'phase':<42}{'median s':>9}{'share':>8}   of {runs} starts")
    for name in samples[0]:
        middle = median(sample[name] for sample in samples)
        print(f"{name:<42}{middle:9.2f}{middle / median(total):8.0%}")
    print(f"{'command to first training step':<42}{median(total):9.2f}", end="")
    print(f"          range {min(total):.2f} to {max(total):.2f}")


if __name__ == "__main__":
    main()
