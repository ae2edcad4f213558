"""Try every stage in seconds, before a folder exists and before anything is trained."""

import torch

from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError, blaming
from sr_experiments.models import SavedModel, SRModel
from sr_experiments.quantization import PostTraining, trace
from sr_experiments.quantization.npu_hints import lines, npu_hints
from sr_experiments.training.execution import check_execution
from sr_experiments.training.job import Job
from sr_experiments.training.making import make
from sr_experiments.training.parts import Parts, build
from sr_experiments.training.trainer import device, make_trainer


def preflight(job: Job, *, pack: bool = False) -> list[str]:
    """Build and check every stage, each on what an untrained one before it would leave.

    Args:
        job: What is going to run.
        pack: Also decode the images of each stage, which finds damaged ones.

    Returns:
        What NPUs would be slow at in the network that ships, line by line; see `npu_hints`.

    Raises:
        UserError: Naming the stage and the key to change.
    """
    left: dict[str, SavedModel] = {}
    for stage in job.stages:
        with stage.blamed():
            parts = build(stage, left)
            check(stage, parts)
            if pack:
                parts.task.data.setup(torch.device("cpu"))
            if stage is not job.stages[-1]:
                left[stage.name] = hand_over(parts, stage)
    return _hints(parts, stage)


def _hints(parts: Parts, stage: Stage) -> list[str]:
    """Of a network that is quantised; none of any other."""
    network, mode = parts.task.network, getattr(parts.task, "quantization", None)
    if not isinstance(network, SRModel) or not isinstance(mode, PostTraining):
        return []
    return lines(stage.choices["model"], npu_hints(trace(network)))


def check(stage: Stage, parts: Parts) -> None:
    """Check one stage: its data, its trainer, whatever its task tries, and its optimiser.

    Raises:
        UserError: Naming the key to change.
    """
    check_devices(stage, parts)
    parts.task.data.check()
    trainer = stage.config.trainer
    if trainer.accelerator in ("cuda", "gpu") and not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator={trainer.accelerator}: no CUDA device here; use cpu or auto"
        )
    threads = trainer.threads
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"trainer.threads={threads} is not a whole number from 1, or null for all")
    check_execution(trainer, parts)
    make(stage.config.logger, "logger")
    blaming("trainer", lambda: make_trainer(trainer, parts.epochs, [], None))
    parts.task.preflight(stage.choices)
    blaming("optimizer", parts.task.configure_optimizers)


def check_devices(stage: Stage, parts: Parts) -> None:
    """Check whether the stage can train in as many processes as it is to.

    Raises:
        UserError: Naming the key to change.
    """
    task, trainer = parts.task, stage.config.trainer
    devices = trainer.devices
    if not isinstance(devices, int) or isinstance(devices, bool) or devices < 1:
        raise UserError(f"trainer.devices={devices} is not a whole number from 1")
    if devices == 1:
        return
    if not task.shares_batches:
        raise UserError(
            f"trainer.devices={devices}: task={stage.choices['task']} trains in one process, and "
            "so does what is fitted; leave it out"
        )
    if stage.config.data.batch_size % devices:
        raise UserError(
            f"data.batch_size={stage.config.data.batch_size} cannot be divided among "
            f"trainer.devices={devices} processes"
        )
    parts_of_batch = getattr(task, "accumulate", 1)
    crops = stage.config.data.batch_size // devices
    if crops % parts_of_batch:
        raise UserError(
            f"task.accumulate={parts_of_batch} does not divide the {crops} crops of each of the "
            f"trainer.devices={devices} processes"
        )
    gpus = torch.cuda.device_count()
    if device(trainer).type == "cuda" and devices > gpus:
        raise UserError(
            f"trainer.devices={devices}: there are {gpus} CUDA devices here; lower it, or add "
            "trainer.accelerator=cpu"
        )


def hand_over(parts: Parts, stage: Stage) -> SavedModel:
    """What a stage leaves, in memory.

    Raises:
        UserError: The task's network cannot be handed on.
    """
    network, model = parts.task.outcome(parts.model)
    if not isinstance(network, SRModel):
        raise UserError(f"{type(network).__name__} cannot be handed on to another stage")
    where = f"the network of stage {stage.name}"
    weights = network.state_dict()
    return SavedModel(model, network.collapsed, weights, where, network.quantized)
