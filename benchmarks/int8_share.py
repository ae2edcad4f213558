"""Share of an epoch that measuring the shipped file takes, in every mode of quantisation.

    python benchmarks/int8_share.py [modes=none,fp16,ptq,ptq_per_tensor,qat,qat_per_tensor]
                                    [epochs=8] [key=value ...]

Each mode trains in a process of its own, with the main job's settings but for the number of
epochs; further words go to the training command. QAT starts from a fresh network, so the FP32 twin
that it is compared with trains and is measured, too: its dearest case.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from sr_experiments.reporting.environment import cpu
from sr_experiments.reporting.run_folder import RunFolder

MODES = "none,fp16,ptq,ptq_per_tensor,qat,qat_per_tensor"
LIMIT = 0.1  # of an epoch


def take(words: list[str], key: str, default: str) -> str:
    """Remove a word of this script from those of the training command."""
    for word in words:
        if word.startswith(f"{key}="):
            words.remove(word)
            return word.removeprefix(f"{key}=")
    return default


def trained(mode: str, epochs: str, words: list[str]) -> list[dict[str, str]]:
    """A row per epoch of a run in one mode; the first, which warms caches up, is left out."""
    with tempfile.TemporaryDirectory() as folder:
        own = [f"paths.output_dir={folder}", "run_name=share", f"trainer.epochs={epochs}"]
        subprocess.run(
            [sys.executable, "-m", "sr_experiments", f"quantization={mode}", *own, *words],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        run = next(path for path in (Path(folder) / "share").iterdir() if path.is_dir())
        return RunFolder(run).metrics()[1:]


def main() -> None:
    words = sys.argv[1:]
    modes, epochs = take(words, "modes", MODES).split(","), take(words, "epochs", "8")
    print(f"{cpu()['model']}, {cpu()['cores']} cores; {' '.join(words) or 'the main job'}")
    print(f"{'mode':<16}{'share':>7}{'range':>16}{'ms':>8}{'epoch s':>9}   of {epochs} epochs")
    dearest = 0.0
    for mode in modes:
        rows = trained(mode, epochs, words)
        times = [float(row.get("time/int8") or row.get("time/fp16") or 0) for row in rows]
        seconds = [float(row["time/epoch"]) for row in rows]
        shares = sorted(spent / epoch for spent, epoch in zip(times, seconds, strict=True))
        dearest = max(dearest, median(shares))
        spread = f"{shares[0]:.1%} to {shares[-1]:.1%}"
        print(
            f"{mode:<16}{median(shares):>7.1%}{spread:>16}{1000 * median(times):>8.0f}"
            f"{median(seconds):>9.1f}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak resident memory of training, test and pictures included: {peak:.0f} MiB")
    if dearest >= LIMIT:
        raise SystemExit(f"measuring takes {dearest:.1%} of an epoch, {LIMIT:.0%} or more")


if __name__ == "__main__":
    main()
