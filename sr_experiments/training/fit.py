"""Train one stage of a run, or take it up where a killed run left it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from sr_experiments.callbacks import (
    Agreement,
    Checkpoints,
    Histograms,
    RunRecord,
    Stopping,
    progress_callback,
)
from sr_experiments.configuration.stages import Stage
from sr_experiments.models import SRModel
from sr_experiments.reporting.mode_scores import print_scores, score_modes
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import FitTask, SuperResolutionTask
from sr_experiments.tasks.distributed import rank
from sr_experiments.training.checkpoint import read_checkpoint
from sr_experiments.training.parts import Parts
from sr_experiments.training.trainer import make_trainer

TOLD = ("task", "data", "loss", "optimizer", "scheduler", "quantization")  # groups in the summary
SETTINGS = {"patch": "data.patch", "batch_size": "data.batch_size", "lr": "optimizer.lr"}


def fit(stage: Stage, parts: Parts, folder: RunFolder, loggers: list[Logger]) -> None:
    """Train a stage. Afterwards the task has its best weights, and the summary its entry.

    Both only in the first process of a run; the others have trained and are done.

    Args:
        stage: Which.
        parts: What it is made of, its data set up.
        folder: The run folder.
        loggers: Those of the whole run.
    """
    done = folder.stages()[: stage.number - 1]
    first_epoch = sum(entry["epochs"] for entry in done)
    first_iteration = sum(entry["steps"] for entry in done)
    parts.task.iteration = first_iteration
    _train(stage, parts, folder, loggers, first_epoch)
    if rank() != 0:
        return
    best = read_checkpoint(folder.best_checkpoint)
    parts.task.load_state_dict(best["state_dict"])
    rows = [row for row in folder.metrics() if row["stage"] == stage.name]
    chosen = next(row for row in rows if int(row["epoch"]) == first_epoch + best["epoch"])
    entry = {
        "name": stage.name,
        "epochs": len(rows),
        "steps": int(rows[-1]["iteration"]) - first_iteration,
        "seconds": round(sum(float(row["time/epoch"]) for row in rows), 1),
        **_measured(chosen),
        **_chosen(stage, parts),
    }
    if parts.tests:
        entry["test"] = _tested(parts)
    folder.write_stage(stage.number, entry)


def _chosen(stage: Stage, parts: Parts) -> dict[str, Any]:
    """The options and settings that a stage was trained with; a fit has its data only."""
    if isinstance(parts.task, FitTask):
        return {"data": stage.choices["data"]}
    settings = {name: OmegaConf.select(stage.config, key) for name, key in SETTINGS.items()}
    return {**told(stage), **settings}


def _tested(parts: Parts) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of the network that the stage leaves, on the test sets, in each of its modes."""
    task = parts.task
    assert isinstance(task, SuperResolutionTask)
    network, _ = task.outcome(parts.model)
    assert isinstance(network, SRModel)
    scores = score_modes(network, parts.tests, task.data, torch.get_num_threads())
    print_scores(scores)
    return scores


def told(stage: Stage) -> dict[str, str]:
    """The options of a stage that its summary and the terminal name."""
    return {group: stage.choices[group] for group in TOLD if group in stage.choices}


def _train(
    stage: Stage, parts: Parts, folder: RunFolder, loggers: list[Logger], first_epoch: int
) -> None:
    last = folder.last_checkpoint
    last.parent.mkdir(exist_ok=True)
    resuming = _stage_of(last) == stage.number
    checkpoints = Checkpoints(
        last,
        folder.best_checkpoint,
        metric=parts.task.metric,
        higher_is_better=parts.task.higher_is_better,
        stage=stage.number,
    )
    record = RunRecord(folder, loggers, stage=stage.name, first_epoch=first_epoch)
    histograms = Histograms(loggers, first_epoch)
    callbacks = [
        *(Agreement(), *parts.callbacks),
        *(progress_callback(), record, histograms, checkpoints, Stopping(checkpoints)),
    ]
    trainer = make_trainer(
        stage.config.trainer,
        parts.epochs,
        callbacks,
        folder.path,
        clips=parts.task.automatic_optimization,
    )
    if stage.config.trainer.compile is True:
        parts.task.compile_step()
    if resuming:
        print(f"going on from {last}")
    elif parts.note is not None:
        print(parts.note)
    trainer.fit(parts.task, ckpt_path=str(last) if resuming else None, weights_only=True)


def _stage_of(checkpoint: Path) -> int | None:
    """Number of the stage that a checkpoint is of; None when there is none."""
    if not checkpoint.is_file():
        return None
    stage: int = read_checkpoint(checkpoint, mmap=True)["stage"]
    return stage


def _measured(row: Mapping[str, str]) -> dict[str, float]:
    """What validation measured of the network that the stage leaves."""
    values = {key: float(cell) for key, cell in row.items() if key.startswith("val") and cell}
    if "val/int8_drop" in values:
        values["drop"] = values.pop("val/int8_drop")
    return values
