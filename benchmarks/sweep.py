"""What each job of a sweep costs beyond its training, and what a process of its own adds.

    python benchmarks/sweep.py [jobs=30] [key=value ...]

One sweep of tiny jobs, a step each, is run three times: as it is; with its jobs in the sweep's own
process; and once more, when every job is finished. Further words go to the sweep. Last, the ways
to get a fresh process are timed in turn: forked by a server that has torch, or a new interpreter.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

TINY = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=1",
    "data.steps_per_epoch=1",
    "data.test=[]",
    "quantization=none",
    "trainer.epochs=1",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
IN_PROCESS = """
import sys
from sr_experiments.sweeping import job, sweep
job.call_apart = sweep.call_apart = lambda function, *arguments: function(*arguments)
from sr_experiments.__main__ import main
main(sys.argv[1:])
"""
ROUNDS = 5


def seconds(start: list[str], words: list[str]) -> float:
    """Wall time of one start of the sweep."""
    begin = time.perf_counter()
    result = subprocess.run(
        [sys.executable, *start, "-m", *words], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(f"the sweep failed:\n{result.stdout}{result.stderr}")
    return time.perf_counter() - begin


def sweeps(jobs: int, words: list[str]) -> None:
    """Print the seconds of a job in each way, those of a sweep of one job taken off."""
    program = ["-m", "sr_experiments"]
    with tempfile.TemporaryDirectory() as folder:
        common = [*TINY, *words, f"paths.cache_dir={folder}/cache"]

        def timed(name: str, start: list[str], count: int) -> float:
            seeds = f"seed=range(1,{count + 1})" if count > 1 else "seed=1"
            return seconds(start, [*common, seeds, f"paths.output_dir={folder}/{name}"])

        timed("warm", program, 1)  # packs the data
        rows = {
            "a process of its own": ("apart", program),
            "in the sweep's process": ("within", ["-c", IN_PROCESS]),
            "finished before": ("apart", program),
        }
        print(f"{'a job of one step':<26}{'s a job':>9}{'s in all':>10}   of {jobs} jobs")
        for name, (place, start) in rows.items():
            one = timed(f"{place}-one", start, 1)
            whole = timed(place, start, jobs)
            print(f"{name:<26}{(whole - one) / (jobs - 1):9.2f}{whole:10.1f}", flush=True)


def processes() -> None:
    """Print the seconds until a function of `sr_experiments.train` answers from a fresh process."""
    from sr_experiments.sweeping.apart import call_apart

    call_apart(os.getpid)  # the server imports torch
    ways: dict[str, list[float]] = {"forked by the server": [], "new interpreter": []}
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call_apart(os.getpid)
        ways["forked by the server"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import sr_experiments.train"], check=True)
        ways["new interpreter"].append(time.perf_counter() - begin)
    print(f"\n{'a fresh process with torch':<26}{'median s':>9}{'range':>14}")
    for name, samples in ways.items():
        span = f"{min(samples):.2f} to {max(samples):.2f}"
        print(f"{name:<26}{median(samples):9.2f}{span:>14}")


def main() -> None:
    os.chdir(Path(__file__).resolve().parent.parent)
    words = sys.argv[1:]
    jobs = next((int(word.removeprefix("jobs=")) for word in words if word.startswith("jobs=")), 30)
    sweeps(jobs, [word for word in words if not word.startswith("jobs=")])
    processes()


if __name__ == "__main__":
    main()
