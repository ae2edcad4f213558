"""Kill trainings with SIGKILL at random moments, go on with the same command, compare the weights.

    python tests/faults/kills.py [kills=50] [seed=1] [output=outputs/kills]

Regression, GAN, quantisation-aware training and a sweep take turns. Each life is one run folder
(of the sweep, one folder of jobs) that is struck several times, at a random moment of a phase that
was drawn, and started again by the command it began with. ``kills.csv`` in ``output`` has a line
per kill. It goes on until there are ``kills`` of them and of every phase at least five, and fails
at the first file that is half-written, claim that is not true, or bit that differs.
"""

import csv
import hashlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median

from watched.sitecustomize import BASE, PHASES, PIPE, digest
from whole import check_claims, check_files, leftovers

from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.checkpoint import read_checkpoint

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEAST = 5  # kills in each phase
EPOCHS, STEPS = 7, 10
OFTEN = 3  # times that a phase is let pass, at most
PATIENCE = 300.0  # seconds without a word from a process
COMMON = [
    "data=photos",
    "data.batch_size=4",
    "data.patch=12",
    f"data.steps_per_epoch={STEPS}",
    f"trainer.epochs={EPOCHS}",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "task.ema_decay=0.9",
]
SMALL = ["model=abpn", "model.channels=4", "model.num_blocks=1", "data.test=[photos:test]"]
KINDS = {
    "regression": [*SMALL, "model.block=ecb"],
    "gan": [
        "task=gan",
        "model=swift_srgan",
        "model.channels=4",
        "model.num_blocks=1",
        "discriminator.width=0.05",
        "discriminator.hidden=4",
        "discriminator.pool=1",
        "data.test=[photos:test]",
        # Only one term, of pixels: the others need weights that may not be here.
        "loss.terms.features.weight=0",
    ],
    "qat": [*SMALL, "quantization=qat"],
    "sweep": [*SMALL, "-m", "seed=1,2"],
}


@dataclass
class Kill:
    """A line of the log.

    Attributes:
        number: From 1.
        seed: Of the whole run of this script.
        kind: A key of ``KINDS``.
        life: Which run folder, from 1.
        target: Phase that was drawn.
        phase: Phase in which the process was when it died.
        victim: ``run``; of a sweep also ``job``, whose sweep went on.
        after_ms: From the phase's beginning to the signal.
        iteration: Batches in the newest checkpoint, over all jobs.
        digest: Of the weights in it, which the undisturbed run had there, too.
        status: In ``summary.json``, of each job.
        files: How many were opened.
        unfinished: Hidden files that the process was writing.
    """

    number: int
    seed: int
    kind: str
    life: int
    target: str
    phase: str = ""
    victim: str = "run"
    after_ms: float = 0.0
    iteration: int = 0
    digest: str = ""
    status: str = ""
    files: int = 0
    unfinished: int = 0


@dataclass
class Watch:
    """What the processes of one start have said.

    Attributes:
        said: Time of arrival, process and word.
        saved: Digest by job and iteration.
        phase: The last of each process.
    """

    said: list[tuple[float, int, str]] = field(default_factory=list)
    saved: dict[tuple[str, int], str] = field(default_factory=dict)
    phase: dict[int, str] = field(default_factory=dict)

    def lengths(self) -> dict[str, float]:
        """Median seconds of each phase, until the next word of the same process.

        Of the start, which is told again between other phases, the longest.
        """
        found: dict[str, list[float]] = {}
        before: dict[int, tuple[float, str]] = {}
        for when, pid, phase in self.said:
            if pid in before:
                start, name = before[pid]
                found.setdefault(name, []).append(when - start)
            before[pid] = when, phase
        return {
            name: max(values) if name == BASE else median(values) for name, values in found.items()
        }


class Start:
    """One start of a command, watched through a pipe."""

    def __init__(self, kind: str, folder: Path, cache: Path) -> None:
        pipe = folder.with_suffix(".pipe")
        pipe.parent.mkdir(parents=True, exist_ok=True)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        self.pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self.rest = b""
        self.watch = Watch()
        path = os.pathsep.join([str(HERE / "watched"), str(ROOT)])
        words = [*COMMON, *KINDS[kind], f"paths.output_dir={folder}", f"paths.cache_dir={cache}"]
        with folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sr_experiments", *words],
                env={**os.environ, "PYTHONPATH": path, PIPE: str(pipe)},
                stdout=log,
                stderr=log,
            )

    def hear(self) -> list[tuple[int, str]] | None:
        """Phases that were entered since the last time, by process; None when all is over."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if select.select([self.pipe], [], [], 0.02)[0]:
                return self._read()
            if self.process.poll() is not None:
                return None
        raise TimeoutError(f"{self.process.args} says nothing any more")

    def _read(self) -> list[tuple[int, str]]:
        *lines, self.rest = (self.rest + os.read(self.pipe, 1 << 16)).split(b"\n")
        now, heard = time.monotonic(), []
        for line in lines:
            pid, word, *saved = line.decode().split(" ")
            if saved:
                job, iteration, value = saved
                self.watch.saved[job, int(iteration)] = value
                continue
            self.watch.said.append((now, int(pid), word))
            self.watch.phase[int(pid)] = word
            heard.append((int(pid), word))
        return heard

    def finish(self) -> int:
        """Hear it out; its exit code."""
        while self.hear() is not None:
            pass
        os.close(self.pipe)
        return self.process.wait()


def strike(start: Start, kill: Kill, draw: random.Random, lengths: dict[str, float]) -> bool:
    """Kill a process within the target phase; False when it ended before.

    Args:
        start: Of the command.
        kill: Its ``phase``, ``victim`` and ``after_ms`` are filled in.
        draw: Of which time in the phase, and which process.
        lengths: Seconds that a phase takes.
    """
    most = {"steps": OFTEN * STEPS, "report": 1, BASE: 1}.get(kill.target, OFTEN)
    wanted, delay = draw.randint(1, most), draw.random() * lengths[kill.target]
    of_job = kill.kind == "sweep" and draw.random() < 0.5
    count = 0
    while (heard := start.hear()) is not None:
        for pid, phase in heard:
            count += phase == kill.target
            if count < wanted or phase != kill.target:
                continue
            time.sleep(delay)
            victim = pid if of_job else start.process.pid
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                return False
            kill.victim = "job" if of_job else "run"
            kill.after_ms = round(1e3 * delay, 2)
            code = start.finish()
            await_end(pid)
            kill.phase = start.watch.phase[pid]
            assert code in (1 if of_job else -signal.SIGKILL, 0), code
            return code != 0
    start.finish()
    return False


def await_end(pid: int) -> None:
    """Wait for a job that ends with its sweep."""
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.01)


def runs_in(folder: Path) -> list[RunFolder]:
    """Every run below an output folder."""
    return [RunFolder(path.parent) for path in sorted(folder.glob("*/*/summary.json"))]


def examine(folder: Path, kill: Kill, reference: Watch) -> None:
    """Check what a kill has left, and write down how it stands.

    Raises:
        AssertionError: Something is not whole, or not as it was in the undisturbed run.
    """
    kill.files = check_files(folder)
    kill.unfinished = len(leftovers(folder))
    digests, states = [], []
    for run in runs_in(folder):
        states.append(str(check_claims(run, EPOCHS, EPOCHS * STEPS)["status"]))
        if run.last_checkpoint.is_file():
            state = read_checkpoint(run.last_checkpoint)
            digests.append(digest(state["state_dict"]))
            kill.iteration += state["iteration"]
            job = run.path.name if kill.kind == "sweep" else ""
            assert digests[-1] == saved_in(reference, job, state["iteration"]), run.path
    kill.digest, kill.status = " ".join(digests), " ".join(states)


def saved_in(reference: Watch, job: str, iteration: int) -> str:
    """The digest of the undisturbed run's checkpoint; ``job`` is empty outside sweeps."""
    (found,) = (
        value
        for (name, number), value in reference.saved.items()
        if number == iteration and job in ("", name)
    )
    return found


def results(folder: Path) -> dict[str, str]:
    """What a finished run must share with the undisturbed one: files and numbers, no times."""
    found = {}
    for run in runs_in(folder):
        assert run.status() == "finished", run.path
        assert check_files(run.path) > 5
        assert not leftovers(run.path), leftovers(run.path)
        check_claims(run, EPOCHS, EPOCHS * STEPS)
        job = run.path.name if "=" in run.path.name else "run"
        for name in ("model.safetensors", "model_int8.tflite", "model_fp32.tflite"):
            content = (run.path / name).read_bytes()
            found[f"{job} {name}"] = hashlib.sha256(content).hexdigest()
        rows = [
            {key: cell for key, cell in row.items() if not key.startswith("time/")}
            for row in run.metrics()
        ]
        found[f"{job} metrics.csv"] = repr(rows)
        found[f"{job} test"] = repr(run.summary()["test"])
    return found


def live(
    kind: str,
    life: int,
    log: list[Kill],
    seed: int,
    output: Path,
    reference: tuple[Watch, dict[str, str]],
) -> None:
    """One folder from its beginning to its end, struck in every phase on the way."""
    draw = random.Random(f"{seed} {kind} {life}")
    folder = output / f"life{life:02}-{kind}"
    watch, expected = reference
    lengths = watch.lengths()
    training = [phase for phase in PHASES if phase != "report"]
    if kind == "sweep":
        training.remove(BASE)  # there the processes that only check the jobs say so, too
    draw.shuffle(training)
    for target in [*training, "report"]:
        start = Start(kind, folder, output / "cache")
        kill = Kill(len(log) + 1, seed, kind, life, target)
        if not strike(start, kill, draw, lengths):
            break  # it was over before the moment came
        examine(folder, kill, watch)
        log.append(kill)
        write(log, output)
        print(*asdict(kill).values(), flush=True)
    if any(run.status() != "finished" for run in runs_in(folder)):
        code = Start(kind, folder, output / "cache").finish()
        assert code == 0, code
    found = results(folder)
    assert found == expected, sorted(key for key in expected if found.get(key) != expected[key])
    weights = [value[:16] for key, value in expected.items() if "model.safetensors" in key]
    print(f"life {life}, {kind}: the undisturbed run's {' '.join(weights)}", flush=True)
    shutil.rmtree(folder)


def write(log: Sequence[Kill], output: Path) -> None:
    """Write ``kills.csv``."""
    with (output / "kills.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [item.name for item in fields(Kill)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(kill) for kill in log)


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    seed, kills = int(given.get("seed", "1")), int(given.get("kills", "50"))
    output = Path(given.get("output", "outputs/kills")).absolute()
    if output.exists():
        raise SystemExit(f"error: output={output} is there already; name another folder")
    output.mkdir(parents=True)
    references = {}
    for kind in KINDS:
        folder = output / f"undisturbed-{kind}"
        start = Start(kind, folder, output / "cache")
        assert start.finish() == 0, folder.with_suffix(".log").read_text()
        references[kind] = start.watch, results(folder)
        print(f"undisturbed {kind}: {len(start.watch.saved)} checkpoints", flush=True)
    log: list[Kill] = []
    life = 0
    while len(log) < kills or any(
        sum(kill.phase == phase for kill in log) < LEAST for phase in PHASES
    ):
        kind = list(KINDS)[life % len(KINDS)]
        life += 1
        live(kind, life, log, seed, output, references[kind])
    print(f"{len(log)} kills:", dict(Counter(kill.phase for kill in log)))
    print("by kind:", dict(Counter(kill.kind for kill in log)))


if __name__ == "__main__":
    main()
