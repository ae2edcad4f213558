"""A sweep of twelve jobs on data=photos, one of which dies, killed half-way and started again.

    python benchmarks/killed_sweep.py [output=outputs/killed_sweep] [key=value ...]

Prints what each start did, and fails unless nothing was done twice and nothing was lost. Further
words go to the sweep. ``tests/sweeping/test_killed.py`` is the same in small.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS, DOOMED, KILLED_AFTER = 12, 5, 6
WORDS = [
    f"seed=range(1,{JOBS + 1})",
    "model=abpn",
    "model.channels=8",
    "data=photos",
    "data.batch_size=4",
    "data.steps_per_epoch=20",
    "data.test=[photos:test]",
    "trainer.epochs=3",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "run_name=killed_sweep",
    "+callbacks.misfortune={_target_: misfortunes.Misfortune, seed: ${seed}, kind: memory, "
    f"only: {DOOMED}}}",
]


def start(output: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """Start the sweep."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "sweeping")])
    return subprocess.Popen(
        [sys.executable, "-m", "sr_experiments", "-m", *WORDS, *words],
        env={**os.environ, "PYTHONPATH": path, "SR_CACHE_DIR": str(output / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def events(folder: Path) -> list[dict[str, str]]:
    """Lines of the sweep's log."""
    file = folder / "jobs.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def main() -> None:
    words = sys.argv[1:]
    given = [word.removeprefix("output=") for word in words if word.startswith("output=")]
    output = Path(given[0] if given else "outputs/killed_sweep").absolute()
    words = [word for word in words if not word.startswith("output=")]
    words.append(f"paths.output_dir={output}")
    folder = output / "killed_sweep"
    if folder.exists():
        raise SystemExit(f"{folder} is there already: move it away, or name another output=")

    first = start(output, words)
    while sum(event["event"] == "started" for event in events(folder)) <= KILLED_AFTER:
        if first.poll() is not None:
            raise SystemExit("the sweep ended before it could be killed")
        time.sleep(0.5)
    time.sleep(5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    whole = {
        f"seed={seed}": (folder / f"seed={seed}" / "model.safetensors").stat().st_mtime_ns
        for seed in range(1, KILLED_AFTER + 1)
        if seed != DOOMED
    }
    code = start(output, words).wait()

    log = events(folder)
    names = list(dict.fromkeys(event["start"] for event in log))
    for number, name in enumerate(names, 1):
        kinds: dict[str, list[str]] = {}
        for event in log:
            if event["start"] == name:
                kinds.setdefault(event["event"], []).append(event["job"].removeprefix("seed="))
        told = "; ".join(f"{kind} {', '.join(jobs)}" for kind, jobs in kinds.items())
        print(f"start {number}: {told}")
    with (folder / "summary.csv").open(newline="") as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    epochs = {
        path.parent.name: len(path.read_text().splitlines()) - 1
        for path in folder.glob("*/metrics.csv")
    }
    page = (folder / "summary.html").read_text()
    checks = {
        "exit code 1 of the second start": code == 1,
        "a row for every job": len(rows) == JOBS,
        "all but the doomed one finished": [
            job for job, row in rows.items() if row["status"] != "finished"
        ]
        == [f"seed={DOOMED}"],
        "its reason in table and page": all(
            "SIGKILL" in text for text in (rows[f"seed={DOOMED}"]["reason"], page)
        ),
        "nothing trained twice": all(
            (folder / job / "model.safetensors").stat().st_mtime_ns == then
            for job, then in whole.items()
        )
        and not {*whole}
        & {e["job"] for e in log if (e["start"], e["event"]) == (names[1], "started")},
        "every epoch once": all(
            count == 3 for job, count in epochs.items() if job != f"seed={DOOMED}"
        ),
    }
    for text, holds in checks.items():
        print(f"{'yes' if holds else 'NO':<5}{text}")
    if not all(checks.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
