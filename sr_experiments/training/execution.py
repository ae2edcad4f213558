"""What of the trainer is left to a measurement: number format, memory order, compilation.

All three change how fast a step is and not what it means, and which is fastest depends on
network, batch and machine. So ``auto`` tries them for a few seconds on a batch of noise. What won
is in ``environment.json``, where a resumed run finds it: a second measurement might choose
otherwise, and the run would not go on as it began.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError
from sr_experiments.files import write_json
from sr_experiments.models import SavedModel
from sr_experiments.quantization import QuantizationAware
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import FitTask, SuperResolutionTask
from sr_experiments.training.parts import Parts, build
from sr_experiments.training.trainer import AUTO, FP32, device

BF16 = "bf16-mixed"
ROUNDS = 5  # turns of each candidate, of which the fastest counts: noise only slows
SECONDS = 4.0  # that all turns of the candidates together may take, after one of each
LONG = 300.0  # seconds of training from which on compiling is tried


@dataclass(frozen=True)
class Execution:
    """How the steps of a stage are computed; the fields are keys of the group ``trainer``."""

    precision: str
    channels_last: bool
    compile: bool

    @property
    def words(self) -> str:
        """As it would be typed."""
        values = asdict(self).items()
        return " ".join(f"trainer.{key}={str(value).lower()}" for key, value in values)


def check_execution(trainer: DictConfig, parts: Parts) -> None:
    """Refuse values that make no sense, and compiling what cannot be.

    Raises:
        UserError: Naming the key.
    """
    for key in ("channels_last", "compile"):
        value = trainer[key]
        if value not in (True, False, AUTO):
            raise UserError(f"trainer.{key}={value} is none of true, false and auto")
    left_open = AUTO in (trainer.precision, trainer.channels_last, trainer.compile)
    if left_open and trainer.devices > 1:
        raise UserError(
            f"trainer.devices={trainer.devices}: auto is measured in one process; name "
            "trainer.precision, trainer.channels_last and trainer.compile"
        )
    if trainer.compile is True:
        parts.task.check_compiles()
        if device(trainer).type == "cpu" and not _has_compiler():
            raise UserError(
                "trainer.compile=true needs a C++ compiler, and there is no "
                f"{_compiler()}; install one, name it in CXX, or use trainer.compile=auto"
            )


def settled(stage: Stage, left: Mapping[str, SavedModel], folder: RunFolder) -> Stage:
    """The stage without ``auto``: as recorded in the run folder, else as measured now.

    Args:
        stage: What is about to train.
        left: See `build`.
        folder: With its ``environment.json``, which gains what was chosen.
    """
    trainer = stage.config.trainer
    if AUTO not in (trainer.precision, trainer.channels_last, trainer.compile):
        return stage
    file = folder.path / "environment.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    chosen: dict[str, Any] = record["execution"].setdefault("stages", {})
    if str(stage.number) not in chosen:
        best, times = fastest(stage, left)
        chosen[str(stage.number)] = {**asdict(best), "milliseconds": times}
        write_json(file, record)
        told = ", ".join(f"{name} {value:.1f}" for name, value in times.items())
        print(f"fastest of the steps tried: {best.words}" + (f" (ms: {told})" if told else ""))
    values = chosen[str(stage.number)]
    config = stage.config.copy()
    for key in ("precision", "channels_last", "compile"):
        OmegaConf.update(config, f"trainer.{key}", values[key])
    return replace(stage, config=config)


def fastest(stage: Stage, left: Mapping[str, SavedModel]) -> tuple[Execution, dict[str, float]]:
    """The fastest of what the trainer leaves open, and the milliseconds of each one tried.

    Quantisation-aware training computes its grid in float32 whatever is asked for, and other
    tasks than super-resolution have no trial: they get what a run has without ``auto``.
    """
    trainer = stage.config.trainer
    formats = [FP32, BF16] if trainer.precision == AUTO else [str(trainer.precision)]
    orders = [True, False] if trainer.channels_last == AUTO else [bool(trainer.channels_last)]
    candidates = [
        Execution(precision, order, trainer.compile is True)
        for precision in formats
        for order in orders
    ]
    parts = build(stage, left)
    task = parts.task
    if (
        not isinstance(task, SuperResolutionTask)
        or isinstance(task, FitTask)
        or isinstance(task.quantization, QuantizationAware)
    ):
        return candidates[0], {}
    tries = {candidate: _trial(stage, left, candidate) for candidate in candidates}
    times = dict(zip(tries, milliseconds(list(tries.values())), strict=True))
    best = min(times, key=times.__getitem__)
    long = parts.steps * times[best] / 1e3 > LONG
    if trainer.compile == AUTO and long and _can_compile(stage, parts):
        compiled = replace(best, compile=True)
        start = time.perf_counter()
        run = _trial(stage, left, compiled)
        run()
        took = time.perf_counter() - start
        times[best], times[compiled] = milliseconds([tries[best], run])
        if parts.steps * (times[best] - times[compiled]) / 1e3 > took:
            best = compiled
    return best, {_label(candidate): round(value, 2) for candidate, value in times.items()}


def milliseconds(runs: list[Callable[[], None]]) -> list[float]:
    """The fastest turn of each function, turn by turn, after one that warms up."""
    for run in runs:
        run()
    best = [float("inf")] * len(runs)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        for index, run in enumerate(runs):
            begun = time.perf_counter()
            run()
            best[index] = min(best[index], 1e3 * (time.perf_counter() - begun))
        if time.perf_counter() - start > SECONDS:
            break
    return best


def _trial(
    stage: Stage, left: Mapping[str, SavedModel], execution: Execution
) -> Callable[[], None]:
    """Forward and backward pass on noise, of parts of their own."""
    config = stage.config.copy()
    OmegaConf.update(config, "trainer.channels_last", execution.channels_last)
    OmegaConf.update(config, "trainer.compile", execution.compile)
    task = build(replace(stage, config=config), left).task
    assert isinstance(task, SuperResolutionTask)
    where = device(config.trainer)
    task.to(where)
    if execution.compile:
        task.compile_step()
    return partial(_run, task.trial(), where, bf16=execution.precision == BF16)


def _run(trial: Callable[[], None], where: torch.device, *, bf16: bool) -> None:
    with torch.autocast(where.type, torch.bfloat16, enabled=bf16):
        trial()
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def _can_compile(stage: Stage, parts: Parts) -> bool:
    try:
        parts.task.check_compiles()
    except UserError:
        return False
    return device(stage.config.trainer).type == "cuda" or _has_compiler()


def _compiler() -> str:
    return os.environ.get("CXX") or "g++"


def _has_compiler() -> bool:
    return shutil.which(_compiler()) is not None


def _label(execution: Execution) -> str:
    order = "channels-last" if execution.channels_last else "contiguous"
    return f"{execution.precision} {order}" + (" compiled" if execution.compile else "")
