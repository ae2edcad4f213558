"""A sweep from the command line to its table: checks, jobs, record, exit code."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from sr_experiments.configuration.application import start
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.search import samples, study_words
from sr_experiments.configuration.stages import plan
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder, as_typed
from sr_experiments.sweeping import log
from sr_experiments.sweeping.apart import DiedError, FailedError, call_apart
from sr_experiments.sweeping.grid import Naming, grid, left_to_jobs, without_axes
from sr_experiments.sweeping.job import SweepJob
from sr_experiments.sweeping.launcher import demanded
from sr_experiments.sweeping.objective import names
from sr_experiments.training.job import Job


def run_sweep(words: Sequence[str]) -> None:
    """Check every job, run them all, print their table.

    Args:
        words: The command line, with ``--multirun``.

    Raises:
        UserError: A job cannot run; nothing was started.
        SystemExit: With 1 when a job failed, or has not ended.
        KeyboardInterrupt: Ctrl-C; what was done is kept, and is in the table.
        StoppedError: SIGTERM or SIGUSR1, likewise.
    """
    overrides = left_to_jobs([word for word in words if not word.startswith("-")])
    words = [*(word for word in words if word.startswith("-")), *overrides]
    jobs = grid(overrides)
    for job in jobs:
        plan(job)
    naming = Naming.of(jobs)
    shared = without_axes(overrides)
    _check_objective(shared)
    strict = demanded(shared)
    check_jobs(jobs, naming)
    if strict:
        from sr_experiments.sweeping.group import composed, require_group

        require_group([composed(job, naming) for job in jobs])
    folders = sorted({naming.folder(plan(job)[0].config, job) for job in jobs})
    task = SweepJob(naming, os.urandom(4).hex())
    try:
        with study_words(shared, naming.folder(shared, overrides)) as gained:
            start([*words, *gained], task)
    except ValueError:  # a sampler that not a single job has answered
        if not _ends(folders, task.start):
            raise
    finally:
        for folder in folders:
            _conclude(folder, words)
    expected = 0 if samples(shared) else len({naming.job(job) for job in jobs})
    _judge(_ends(folders, task.start), expected)


def _check_objective(config: DictConfig) -> None:
    """Refuse a sampler that waits for more or fewer numbers than a job gives it.

    Raises:
        UserError: Naming both keys.
    """
    listed = names(config)
    if not samples(config):
        return
    direction = config.hydra.sweeper.get("direction")
    directions = None if direction is None or isinstance(direction, str) else len(direction)
    if directions != (None if listed is None else len(listed)):
        raise UserError(
            f"objective={config.objective} and hydra.sweeper.direction={direction} are not of one "
            "length: a list of directions needs a list of as many names"
        )


def check_jobs(jobs: Sequence[list[str]], naming: Naming) -> None:
    """Run the preflight of every job; say each network's hints once, one of a kind.

    Raises:
        UserError: With the command line of a job that cannot run.
    """
    said: dict[str, dict[str, str]] = {}
    for job in jobs:
        head, *hints = _preflight(job, naming).splitlines() or [""]
        for hint in hints:  # a search over depths would repeat it with each depth's layers
            kind = re.sub(r" \([^()]*\)", "", hint)
            said.setdefault(head, {}).setdefault(kind, hint)
    for head, kinds in said.items():
        print("\n".join([head, *kinds.values()]))


def _preflight(overrides: list[str], naming: Naming) -> str:
    """Check one job, unless it is finished and so was checked before.

    Returns:
        Hints, for whoever wants the network on an NPU.

    Raises:
        UserError: With the job's command line.
    """
    job = Job(*check_with_choices(overrides), overrides)
    run = RunFolder(naming.folder(job.config, overrides) / naming.job(overrides))
    if job.is_finished(run):
        return ""
    try:
        return call_apart(_check, job)
    except (UserError, FailedError, DiedError) as error:
        job_line = shlex.join(as_typed(overrides))
        raise UserError(f"{job_line}\n  {error}\nnothing was started") from error


def _check(job: Job) -> str:
    from sr_experiments import train
    from sr_experiments.training.trainer import quiet_lightning

    quiet_lightning()
    return "\n".join(train.preflight(job))


def _conclude(folder: Path, words: Sequence[str]) -> None:
    """Print the sweep's table, and write ``summary.csv``, ``.md``, ``.tex`` and ``.html`` into it.

    A sweep of a paper's table prints that as well, ours beside it.
    """
    from sr_experiments.reporting.comparison.page import sweep_page
    from sr_experiments.reporting.tables.glasses import beside_paper
    from sr_experiments.reporting.tables.render import deliver

    if any(folder.glob("*/summary.json")):
        command = f"python -m sr_experiments {shlex.join(words)}"
        sweep_page(folder, command)
        paper = beside_paper(folder)
        if paper is not None:
            deliver(paper, command, folder)


def _ends(folders: Sequence[Path], start: str) -> list[log.Entry]:
    """How the jobs of one start ended."""
    return [end for folder in folders for end in log.JobLog(folder, start).ends().values()]


def _judge(ends: Sequence[log.Entry], expected: int) -> None:
    """Say what failed, what another process is at and what was left out.

    Args:
        ends: Of the jobs.
        expected: How many there are; 0 where a sampler decides it.

    Raises:
        SystemExit: With 1 when a job failed, or has not ended.
    """
    count = max(len(ends), expected)
    in_use = [end.job for end in ends if end.event == log.PASSED]
    if in_use:
        print(f"\n{len(in_use)} of {count} jobs are in use by another process:")
        print("\n".join(f"  {job}" for job in in_use))
    failed = [f"{end.job}: {end.reason}" for end in ends if end.event == log.FAILED]
    left = [end.job for end in ends if end.event == log.LEFT]
    lost = max(0, expected - len(ends))
    if not failed and not lost:
        return
    print(f"\n{len(failed)} of {count} jobs failed:", file=sys.stderr)
    print("\n".join(f"  {line}" for line in failed), file=sys.stderr)
    if left:
        print(f"{len(left)} were left out (fail_fast=true)", file=sys.stderr)
    if lost:
        print(f"{lost} have not ended: their process is gone", file=sys.stderr)
    print("the same command takes up what is not finished", file=sys.stderr)
    raise SystemExit(1)
