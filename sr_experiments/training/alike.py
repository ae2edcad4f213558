"""Which runs may train as one batched network, and what keeps a run from it.

They differ in their seed, learning rate, schedule, loss or the order of their data. All else is
the same, so their batches have one shape and their networks one architecture. What a run does
besides must be a function of its own network, prediction and batch.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError
from sr_experiments.models import SavedModel
from sr_experiments.tasks import RegressionTask
from sr_experiments.tasks.batched import BatchedNetworks, check_batches
from sr_experiments.tasks.grouped import stepwise
from sr_experiments.training.job import Job
from sr_experiments.training.parts import Parts, build
from sr_experiments.training.preflight import hand_over
from sr_experiments.training.trainer import FP32, device

FREE = ("optimizer.lr", "scheduler", "loss")  # may differ, with all that is below
BESIDES = ("run_name", "resume", "fail_fast", "objective", "paths", "stages", "hydra")
CLOSE = 1e-3  # of the largest gradient: what batching may change by rounding, with much to spare
SLOW = ".*There is a performance drop because we have not yet implemented the batching rule.*"


def shared(job: Job) -> dict[str, Any]:
    """What runs that train together have in common: values by dotted key, stage by stage."""
    values: dict[str, Any] = {}
    for stage in job.stages:
        before = "" if stage.single else f"{stage.name}: "
        whole = {key: value for key, value in stage.resolved.items() if key not in BESIDES}
        values |= {before + key: value for key, value in _flat(whole, "") if not _is_free(key)}
    return values


def _flat(node: Any, above: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        yield above, node
        return
    for key, value in node.items():
        yield from _flat(value, f"{above}.{key}" if above else str(key))


def _is_free(key: str) -> bool:
    below = any(key == free or key.startswith(f"{free}.") for free in FREE)
    return below or key.rpartition(".")[2] == "seed"


def differences(job: Job, other: Job) -> list[str]:
    """Keys that keep two runs apart, each with both values."""
    one, two = shared(job), shared(other)
    return [
        f"{key}={one.get(key)} and {key}={two.get(key)}"
        for key in {**one, **two}
        if one.get(key) != two.get(key)
    ]


def check_alike(job: Job) -> None:
    """Try a batched step of every stage of a run, on noise and an untrained network.

    Raises:
        UserError: Naming what keeps the run from training with others.
    """
    left: dict[str, SavedModel] = {}
    for stage in job.stages:
        with stage.blamed():
            parts = build(stage, left)
            check_stage(stage, parts)
            if stage is not job.stages[-1]:
                left[stage.name] = hand_over(parts, stage)


def check_stage(stage: Stage, parts: Parts) -> None:
    """Try one stage.

    Raises:
        UserError: Naming what keeps it from training with others.
    """
    task, trainer = parts.task, stage.config.trainer
    if not isinstance(task, RegressionTask):
        raise UserError(f"task={stage.choices['task']} trains one by one")
    reasons = {
        f"trainer.devices={trainer.devices}": trainer.devices != 1,
        f"trainer.precision={trainer.precision}": trainer.precision != FP32,
        f"trainer.channels_last={trainer.channels_last}": trainer.channels_last == "auto",
        f"trainer.compile={trainer.compile}": trainer.compile is not False,
        f"quantization={stage.choices['quantization']}": task.is_quantization_aware,
        f"callbacks={stage.choices['callbacks']}": task.ranking is not None,
    }
    for key, keeps in reasons.items():
        if keeps:
            raise UserError(f"{key} trains one by one")
    check_batches(task.network)
    if task.blocks is not None and device(trainer).type == "cuda":
        optimizer = task.configure_optimizers()["optimizer"]
        reason = stepwise(task, optimizer)
        if reason is not None:
            raise UserError(f"trainer.steps_per_batch={trainer.steps_per_batch}: {reason}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", SLOW)
            _try(task)
    except (RuntimeError, UserWarning) as error:
        name, words = type(task.network).__name__, str(error).splitlines()[0]
        raise UserError(f"torch.func cannot batch {name}: {words}") from error


def _try(task: RegressionTask) -> None:
    """A step of two equal networks, beside one of it alone.

    Raises:
        UserError: The gradients are others.
    """
    data = task.data
    low_res, high_res = (
        torch.rand(2, 3, side, side) for side in (data.patch, data.patch * data.scale)
    )
    networks = BatchedNetworks([task.network, copy.deepcopy(task.network)])
    predictions = networks.predict(torch.stack([low_res, low_res]))
    losses = [task.losses(low_res, high_res, prediction)[0] for prediction in predictions]
    own = len(task.regularizers) > 0
    torch.autograd.backward(task.losses(low_res, high_res)[0])
    alone = _gradients(task.network)
    for batched in networks.split(networks.gradient(losses, own=own))[:1]:
        largest = max(float(values.abs().max()) for values in alone.values())
        for name, values in alone.items():
            if not float((batched[name] - values).abs().max()) <= CLOSE * largest:
                raise UserError(f"{type(task.network).__name__} has other gradients when batched")


def _gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: torch.zeros_like(values) if values.grad is None else values.grad
        for name, values in network.named_parameters()
        if values.requires_grad
    }
