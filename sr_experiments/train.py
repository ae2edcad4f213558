"""One training run: preflight, run folder, its stages, shipped files, test, pictures."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError, of_the_machine
from sr_experiments.files import write_atomic
from sr_experiments.models import (
    Classifier,
    SavedModel,
    SRModel,
    count_parameters,
    read_model,
    save_model,
)
from sr_experiments.reporting.left_over import left_over
from sr_experiments.reporting.loggers import LoggedRun, closing, log_results, opened
from sr_experiments.reporting.page import write_page
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.signals import StoppedError, stopped_by_signals
from sr_experiments.tasks.distributed import rank, wait_for_all
from sr_experiments.training.execution import settled
from sr_experiments.training.fit import fit, told
from sr_experiments.training.job import Job
from sr_experiments.training.making import make
from sr_experiments.training.parts import Parts, build
from sr_experiments.training.preflight import preflight
from sr_experiments.training.same_data import check_same_data
from sr_experiments.training.together import together
from sr_experiments.training.trainer import device, fix_execution, quiet_lightning

GOES_ON = "the same command goes on from the last checkpoint"

__all__ = ["Job", "preflight", "run"]


def run(job: Job) -> dict[str, Any]:
    """Train, or take up an unfinished run, and finish it.

    Returns:
        The content of ``summary.json``.

    Raises:
        UserError: The job cannot run; no folder is left behind.
    """
    quiet_lightning()
    hints = preflight(job, pack=True)  # a damaged image is found before there is a folder
    folder = _open_folder(job)
    print(f"run folder: {folder.path}")
    if folder.status() == "finished":
        folder.unlock()
        print("finished before; nothing to do")
        return folder.summary()
    if hints and job.sweep is None:  # a sweep has said so of all its networks
        print("\n".join(hints))
    try:
        threads = fix_execution(job.config.trainer, job.config.seed, folder)
        folder.write_summary(
            {
                "status": "running",
                "model": job.choices["model"],
                "scale": job.scale,
                "reason": None,
            }
        )
        sweep = None if job.sweep is None else job.sweep[0]
        logged = LoggedRun(folder.path, job.label, job.resolved, job.choices, sweep)
        loggers = opened(make(job.config.logger, "logger"), logged)
        with stopped_by_signals(), closing(loggers):
            with together(_train, job, folder, threads):
                parts = _train(job, folder, loggers)
            summary = _finish(parts, folder, threads)
            log_results(loggers, folder.path)
    except BaseException as error:
        told = _told(error, folder)
        _record_end(folder, error if told is None else told)
        if told is not None:
            raise told from error
        raise
    finally:
        folder.unlock()
    return summary


def _told(error: BaseException, folder: RunFolder) -> UserError | None:
    """What a user is told where the machine's limits ended the run; None for other reasons."""
    told = of_the_machine(error, folder.path)
    if told is None:
        return None
    smaller = "" if isinstance(error, OSError) else "; lower data.batch_size or data.patch, or"
    return UserError(f"{told}{smaller or ', and'} {GOES_ON}")


def _record_end(folder: RunFolder, error: BaseException) -> None:
    """Say in the summary how the run ended, where that can be written."""
    if isinstance(error, Exception):
        values = {"status": "failed", "reason": str(error) or repr(error)}
    else:
        reason = str(error) if isinstance(error, StoppedError) else type(error).__name__
        values = {"status": "interrupted", "reason": reason}
        print(f"interrupted; {GOES_ON}")
    # A full disk keeps its "running", as after a power cut; what ended the run matters more.
    with suppress(OSError):
        folder.write_summary(values)


def _open_folder(job: Job) -> RunFolder:
    outputs = Path(job.config.paths.output_dir)
    parent, name = (outputs / job.name, None)
    if job.sweep is not None:
        parent, name = outputs / job.sweep[0], job.sweep[1]
    try:
        folder = RunFolder.choose(parent, job.resolved, resume=job.config.resume, name=name)
        if name is None and job.config.resume and not folder.last_checkpoint.is_file():
            for words in left_over(folder, job.overrides, job.resolved):
                print(words)
        if folder.status() != "finished":
            overrides = "".join(f"- {item}\n" for item in job.overrides)
            write_atomic(folder.path / "overrides.yaml", overrides)
    except OSError as error:
        raise UserError(
            f"paths.output_dir={outputs} cannot be written ({error.strerror or error}); name "
            "another folder"
        ) from error
    return folder


def _train(job: Job, folder: RunFolder, loggers: list[Logger]) -> Parts:
    """Train the stages that are not over yet, each from what the one before left.

    Every process of the run does; the first one alone writes (see ``training.together``).

    Returns:
        The parts of the last stage, with its best weights.
    """
    left: dict[str, SavedModel] = {}
    *earlier, last = job.stages
    for stage in earlier:
        file = folder.stage_file(stage.number, stage.name)
        if not file.is_file():
            parts = _train_stage(job, stage, left, folder, loggers)
            if rank() == 0:
                network, model = parts.task.outcome(parts.model)
                assert isinstance(network, SRModel | Classifier)
                save_model(network, model, file)
            wait_for_all()
        left[stage.name] = read_model(file)
    return _train_stage(job, last, left, folder, loggers)


def _train_stage(
    job: Job,
    stage: Stage,
    left: dict[str, SavedModel],
    folder: RunFolder,
    loggers: list[Logger],
) -> Parts:
    with stage.blamed():
        stage = settled(stage, left, folder)
        parts = build(stage, left)
        parts.task.data.setup(device(stage.config.trainer))
        if rank() == 0:
            check_same_data(folder, stage.number, parts.task.data)
        if stage.number == 1 and rank() == 0:
            folder.write_summary({"params_training": count_parameters(parts.network)})
        if not stage.single:
            options = " ".join(f"{group}={option}" for group, option in told(stage).items())
            print(
                f"stage {stage.number} of {len(job.stages)}, {stage.name}: {parts.steps:,} steps, "
                f"{options}"
            )
        fit(stage, parts, folder, loggers)
    return parts


def _finish(parts: Parts, folder: RunFolder, threads: int) -> dict[str, Any]:
    values = parts.task.finish(folder, parts.model, threads)
    done = folder.stages()
    train = {
        "steps": sum(entry["steps"] for entry in done),
        "seconds": round(sum(entry["seconds"] for entry in done), 1),
    }
    folder.write_summary({**values, "train": train})
    page = write_page(folder)
    folder.write_summary({"status": "finished"})
    print(f"results, files and pictures: {page}")
    return folder.summary()
