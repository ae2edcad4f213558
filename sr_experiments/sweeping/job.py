"""One job of a sweep, as any launcher calls it: run apart, its end recorded, never an exception."""

import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import FolderInUseError, RunFolder
from sr_experiments.signals import StoppedError
from sr_experiments.sweeping import log
from sr_experiments.sweeping.apart import Answer, DiedError, FailedError, call_apart, unwrapped
from sr_experiments.sweeping.grid import Naming
from sr_experiments.sweeping.objective import answer, no_answer
from sr_experiments.training.job import Job


@dataclass(frozen=True)
class SweepJob:
    """What Hydra calls with each job's configuration, here or in a launcher's process.

    Attributes:
        naming: Of the folders.
        start: Name of this start of the sweep, for its log.
        trained: By name, how the jobs ended that trained together before their turn; see `group`.
    """

    naming: Naming
    start: str
    trained: dict[str, Answer] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, config: DictConfig) -> float | list[float]:
        """Train a job unless it is finished.

        Returns:
            What samplers of a sweep go by; NaN of a job without a result.

        Raises:
            KeyboardInterrupt: Ctrl-C, after the job has ended in its own time.
            StoppedError: Another signal to end, likewise.
            OSError: Its failure cannot be written down.
        """
        hydra = HydraConfig.get()
        overrides = [item for item in hydra.overrides.task if not item.startswith("hydra.")]
        choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
        sweep, name = self.naming.sweep(config, overrides), self.naming.job(overrides)
        folder = self.naming.folder(config, overrides)
        record, run = log.JobLog(folder, self.start), RunFolder(folder / name)
        try:
            if config.fail_fast and any(end.event == log.FAILED for end in record.ends().values()):
                record.write(name, log.LEFT)
                return no_answer(config)
            job = Job(config, choices, overrides, (sweep, name))
            if name not in self.trained and job.is_finished(run):
                print(f"{run.path}: finished before; nothing to do")
                result, event = answer(config, run.summary()), log.SKIPPED
            elif name in self.trained:
                result, event = answer(config, unwrapped(self.trained.pop(name))), log.FINISHED
            else:
                record.write(name, log.STARTED)
                result, event = answer(config, call_apart(train_job, job)), log.FINISHED
        except FolderInUseError as error:
            print(f"{error}: passed over")
            record.write(name, log.PASSED)
            return no_answer(config)
        except Exception as error:
            reason = str(error)
            if not isinstance(error, UserError | FailedError | DiedError):
                traceback.print_exc()  # of this process, not of the job's, which prints its own
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            _record_failure(run.path, reason)
            record.write(name, log.FAILED, reason)
            print(f"failed: {name}: {reason}", file=sys.stderr)
            return no_answer(config)
        except (KeyboardInterrupt, StoppedError):
            record.write(name, log.INTERRUPTED)
            raise
        record.write(name, event)
        return result


def train_job(job: Job) -> dict[str, Any]:
    """Train one job; its summary."""
    from sr_experiments import train

    return train.run(job)


def _record_failure(path: Path, reason: str) -> None:
    """Say in a job's summary that it failed, where it could not say so itself."""
    run = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    if not run.lock():
        return
    try:
        if run.status() in (None, "running"):
            run.write_summary({"status": "failed", "reason": reason})
    finally:
        run.unlock()
