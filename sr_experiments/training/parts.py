"""The objects that a stage's configuration names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig
from torch import nn

from sr_experiments.callbacks import ChannelRanker, WeightClip
from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError
from sr_experiments.models import SavedModel
from sr_experiments.models.fitted import FittedModel
from sr_experiments.quantization import PostTraining, QuantizationAware
from sr_experiments.tasks import SuperResolutionTask, Task, TrainingData
from sr_experiments.tasks.reference import AUTO
from sr_experiments.training.fitted import fit_task
from sr_experiments.training.making import make
from sr_experiments.training.start import begin
from sr_experiments.training.trainer import device


@dataclass
class Parts:
    """One stage, ready to train.

    Attributes:
        network: What trains.
        model: The ``model`` node that describes it.
        task: How it trains; it holds the data.
        epochs: Of this stage.
        callbacks: Those of the configuration.
        tests: By name, the modes in which what the stage leaves is scored on the test sets.
        note: What was taken over from ``init_from``, for the terminal.
    """

    network: nn.Module
    model: dict[str, Any]
    task: Task
    epochs: int
    callbacks: list[pl.Callback]
    note: str | None
    tests: Mapping[str, PostTraining] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Length of the stage, in batches."""
        return self.epochs * self.task.data.steps_per_epoch


def build(stage: Stage, left: Mapping[str, SavedModel] | None = None) -> Parts:
    """Make network, data, loss and task of a stage.

    Args:
        stage: Which.
        left: What each of the stages before it left, by name, in their order.

    Raises:
        UserError: A part refuses its options.
    """
    config = stage.config
    if not config.budget > 0:
        raise UserError(f"budget={config.budget} is not above 0")
    if config.trainer.epochs < 1:
        raise UserError(f"trainer.epochs={config.trainer.epochs} is below 1")
    torch.manual_seed(config.seed)
    left = left or {}
    start = begin(stage, list(left.values())[-1] if left else None)
    data = make(config.data, "data")
    if isinstance(start.network, FittedModel):
        fitting, note = fit_task(stage, start.network, data)
        return Parts(start.network, start.model, fitting, 1, [], note)
    epochs = fit_length(data, config.trainer.epochs * config.budget)
    task = make(
        config.task,
        "task",
        network=start.network,
        data=data,
        loss=make(config.loss, "loss"),
        optimizer=make(config.optimizer, "optimizer"),
        scheduler=make(config.scheduler, "scheduler"),
        quantization=_compared(make(config.quantization, "quantization"), left),
        total_steps=epochs * data.steps_per_epoch,
        channels_last=bool(config.trainer.channels_last),
        **_teacher(stage, left),
    )
    callbacks = [_callback(node, str(name)) for name, node in config.callbacks.items()]
    for callback in callbacks:
        if isinstance(callback, ChannelRanker):
            callback.attach(task, start.model)
    blocks = config.trainer.steps_per_batch
    if not isinstance(blocks, int) or blocks < 1:
        raise UserError(f"trainer.steps_per_batch={blocks} is not a whole number from 1")
    if blocks > 1 and config.trainer.devices > 1:
        raise UserError(
            f"trainer.steps_per_batch={blocks} is for one process; leave it at 1, or set "
            "trainer.devices=1"
        )
    if blocks > 1 and any(isinstance(callback, WeightClip) for callback in callbacks):
        raise UserError(
            f"trainer.steps_per_batch={blocks}: callbacks=weight_clip clamps after every step, and "
            "is called after every block; set trainer.steps_per_batch=1"
        )
    if blocks > 1:
        captured = device(config.trainer).type == "cuda"
        task.train_in_blocks(blocks, config.trainer.gradient_clip, captured=captured)
    return Parts(
        start.network, start.model, task, epochs, callbacks, start.note, _tests(stage, task)
    )


def _callback(node: DictConfig, name: str) -> Any:
    """A callback of the configuration.

    Raises:
        UserError: It has options, but was not chosen.
    """
    if "_target_" not in node:
        raise UserError(
            f"callbacks.{name} has options but is not among the callbacks: "
            f"callbacks=[default,{name}] adds it"
        )
    return make(node, f"callbacks.{name}")


def _tests(stage: Stage, task: Task) -> dict[str, PostTraining]:
    """The modes that a stage's network is tested in."""
    modes = {}
    for option, node in stage.tests.items():
        mode = make(node, "quantization")
        if not isinstance(mode, PostTraining) or isinstance(mode, QuantizationAware):
            raise UserError(f"test: quantization={option} is no quantisation after training")
        modes[option] = mode
    if modes and not isinstance(task, SuperResolutionTask):
        raise UserError(f"test: task={stage.choices['task']} makes no INT8 file")
    if modes and isinstance(task.quantization, QuantizationAware):
        raise UserError("test: the stage trains on the INT8 grid, whose ranges its file has")
    return modes


def _teacher(stage: Stage, left: Mapping[str, SavedModel]) -> dict[str, Any]:
    """The network of an earlier stage, where ``task.teacher`` names one."""
    name = stage.config.task.get("teacher")
    return {"teacher": left[name].build()} if name in left else {}


def _compared(mode: Any, left: Mapping[str, SavedModel]) -> Any:
    """The mode with the earlier stage's network that its INT8 file is compared with, if any."""
    if not isinstance(mode, QuantizationAware) or not isinstance(mode.reference, str):
        return mode
    name = mode.reference
    if name == AUTO and left and list(left.values())[-1].quantized:
        name = next((key for key in reversed(list(left)) if not left[key].quantized), name)
    return replace(mode, reference=left[name].build()) if name in left else mode


def fit_length(data: TrainingData, epochs: float) -> int:
    """Whole epochs for a training of ``epochs``; below one, a shorter epoch instead.

    Args:
        data: Its ``steps_per_epoch`` is lowered where less than an epoch is wanted.
        epochs: Any positive length.
    """
    if epochs < 1 and data.steps_per_epoch > 1:
        data.steps_per_epoch = max(1, round(data.steps_per_epoch * epochs))
    return max(1, round(epochs))
