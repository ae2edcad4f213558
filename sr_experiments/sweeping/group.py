"""Jobs of a sweep that train as one batched network: which they are, and their process.

Each keeps a thread, and in it everything that a run has: folder, curves, checkpoints, files and
page (see `turns`). They meet at each step or block of steps, where their networks are one. A job
that ends, early, well or not, leaves the others to go on; a process that dies takes all with it,
and the same command takes them up.
"""

import io
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from sr_experiments.callbacks.stopping import Listener
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.signals import StoppedError
from sr_experiments.sweeping import log
from sr_experiments.sweeping.apart import Answer, DiedError, FailedError, attempt, call_apart
from sr_experiments.sweeping.grid import Naming
from sr_experiments.sweeping.job import SweepJob, train_job
from sr_experiments.tasks.grouped import Meeting
from sr_experiments.tasks.turns import Turns, current_seat
from sr_experiments.training.alike import check_alike, differences
from sr_experiments.training.job import Job


def composed(overrides: list[str], naming: Naming) -> Job:
    """A job of a sweep.

    Raises:
        UserError: Its configuration is wrong.
    """
    config, choices = check_with_choices(overrides)
    return Job(config, choices, overrides, (naming.sweep(config, overrides), naming.job(overrides)))


def groups(jobs: Sequence[Job], most: int | None) -> list[list[Job]]:
    """Put jobs together that may train so.

    Args:
        jobs: In their order.
        most: Largest group; None knows no limit.
    """
    made: list[list[Job]] = []
    for job in jobs:
        fits = (
            group
            for group in made
            if (most is None or len(group) < most) and not differences(group[0], job)
        )
        group = next(fits, None)
        if group is None:
            made.append([job])
        else:
            group.append(job)
    return made


def require_group(jobs: Sequence[Job]) -> None:
    """Refuse jobs that are not one kind, or cannot be batched.

    Raises:
        UserError: Naming the keys that differ, or what keeps them from it.
    """
    for job in jobs[1:]:
        keys = differences(jobs[0], job)
        if keys:
            raise UserError(
                f"hydra.launcher.strict=true: {_name(jobs[0])} and {_name(job)} cannot train as "
                f"one batched network: {'; '.join(keys)}\nnothing was started"
            )
    try:
        call_apart(check_alike, jobs[0])
    except (UserError, FailedError, DiedError) as error:
        raise UserError(f"hydra.launcher.strict=true: {error}\nnothing was started") from error


def train_groups(task: SweepJob, lines: Sequence[list[str]], most: int | None) -> None:
    """Train the jobs that may train together, before each has its turn as a job of the sweep.

    Args:
        task: Of the sweep; it is told how they ended.
        lines: Command line of every job.
        most: Largest group.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the jobs have ended in their own time.
        StoppedError: Another signal to end, likewise.
    """
    jobs = [job for line in lines if not _is_over(job := composed(line, task.naming))]
    for group in groups(jobs, most):
        names = [_name(job) for job in group]
        if len(group) == 1:
            print(
                f"{names[0]} trains alone: no other job differs in no more than seed, rate or loss"
            )
            continue
        try:
            call_apart(check_alike, group[0])
        except (UserError, FailedError, DiedError) as error:
            print(f"{', '.join(names)} train one by one: {error}")
            continue
        print(f"{', '.join(names)} train as one batched network")
        task.trained.update(zip(names, _trained(task, group), strict=True))


def _trained(task: SweepJob, group: list[Job]) -> list[Answer]:
    records = [
        log.JobLog(task.naming.folder(job.config, job.overrides), task.start) for job in group
    ]
    for job, record in zip(group, records, strict=True):
        record.write(_name(job), log.STARTED)
    try:
        return call_apart(train_together, group)
    except (FailedError, DiedError) as error:
        return [
            ("value", _folder(job).summary())
            if job.is_finished(_folder(job))
            else ("died", str(error))
            for job in group
        ]
    except (KeyboardInterrupt, StoppedError):
        for job, record in zip(group, records, strict=True):
            finished = job.is_finished(_folder(job))
            record.write(_name(job), log.FINISHED if finished else log.INTERRUPTED)
        raise


def train_together(jobs: Sequence[Job]) -> list[Answer]:
    """Train some jobs in this process; how each ended."""
    listener = Listener()
    turns = Turns([_name(job) for job in jobs], Meeting(), lambda: listener.received)
    answers: list[Answer] = [("died", "it did not begin")] * len(jobs)

    def train(place: int) -> None:
        with turns.seats[place].taken():
            answers[place] = attempt(train_job, jobs[place])

    threads = [
        threading.Thread(target=train, args=(place,), daemon=True) for place in range(len(jobs))
    ]
    listener.listen()
    try:
        with _told_apart():
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # signals are handled in between
    finally:
        listener.listen_no_more()
    return answers


@contextmanager
def _told_apart() -> Iterator[None]:
    """Put a run's name before each line that it prints, and draw no bars."""
    with (
        redirect_stdout(NamedLines(sys.stdout)) as out,
        redirect_stderr(NamedLines(sys.stderr)) as err,
    ):
        try:
            yield
        finally:
            out.finish()
            err.finish()


class NamedLines(io.TextIOBase):
    """Text of several runs, line by line.

    Args:
        stream: Where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.begun: dict[str, str] = {}  # by run, what has no end of line yet

    def write(self, text: str) -> int:
        """Pass whole lines on."""
        seat = current_seat()
        name = "" if seat is None else seat.name
        *lines, rest = (self.begun.get(name, "") + text).split("\n")
        self.begun[name] = rest
        for line in lines:
            self.stream.write(f"{name}: {line}\n" if name and line else f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Pass on what is whole."""
        self.stream.flush()

    def finish(self) -> None:
        """Pass on the rest."""
        for rest in self.begun.values():
            self.stream.write(f"{rest}\n" if rest else "")
        self.begun = {}
        self.stream.flush()


def _name(job: Job) -> str:
    assert job.sweep is not None
    return job.sweep[1]


def _folder(job: Job) -> RunFolder:
    assert job.sweep is not None
    return RunFolder(job.outputs / job.sweep[0] / job.sweep[1])


def _is_over(job: Job) -> bool:
    return job.is_finished(_folder(job))
