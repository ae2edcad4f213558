"""Share of an epoch that measuring the INT8 file takes, and the memory of training.

    python benchmarks/int8_share.py [key=value ...]

Trains for eight epochs in a process of its own; words go to the training command.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from sr_experiments.reporting.environment import cpu
from sr_experiments.reporting.run_folder import RunFolder


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = [f"paths.output_dir={folder}", "run_name=share", "trainer.epochs=8"]
        subprocess.run(
            [sys.executable, "-m", "sr_experiments", *words, *sys.argv[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        run = next(path for path in (Path(folder) / "share").iterdir() if path.is_dir())
        rows = RunFolder(run).metrics()
    # The first epoch warms caches up and is left out.
    shares = sorted(float(row["time/int8"]) / float(row["time/epoch"]) for row in rows[1:])
    milliseconds = [1000 * float(row["time/int8"]) for row in rows[1:]]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{cpu()['model']}, {cpu()['cores']} cores")
    print(
        f"INT8 measurement: {median(shares):.1%} of an epoch "
        f"(range {shares[0]:.1%} to {shares[-1]:.1%} over {len(shares)} epochs), "
        f"median {median(milliseconds):.0f} ms"
    )
    print(f"peak resident memory of training, test and pictures included: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
