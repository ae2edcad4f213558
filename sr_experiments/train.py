"""One training run: preflight, run folder, training, shipped files, test, pictures."""

import copy
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from sr_experiments.callbacks import Checkpoints, Int8Drop, RunRecord, progress_callback
from sr_experiments.data import SRData
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic, write_json
from sr_experiments.models import SRModel, count_parameters, load_model
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting import environment
from sr_experiments.reporting.finish import finish
from sr_experiments.reporting.loggers import closing, log_results
from sr_experiments.reporting.page import write_page
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.shipping import ship
from sr_experiments.tasks import SuperResolutionTask


@dataclass(frozen=True)
class Job:
    """What one run is: its configuration and where its folder goes.

    Attributes:
        config: Composed configuration.
        choices: Group to chosen option, such as ``model: xlsr``.
        overrides: As typed.
        sweep: Folder of the sweep and of this job within it; None for a single run.
    """

    config: DictConfig
    choices: Mapping[str, str]
    overrides: list[str]
    sweep: tuple[str, str] | None = None

    @property
    def resolved(self) -> dict[str, Any]:
        """Plain configuration without interpolations."""
        plain = OmegaConf.to_container(self.config, resolve=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    @property
    def name(self) -> str:
        """``run_name``, or model and scale."""
        return str(self.config.run_name or f"{self.choices['model']}-x{self.config.scale}")


@dataclass
class Parts:
    """The objects that the configuration names."""

    network: SRModel
    data: SRData
    mode: PostTraining | None
    task: SuperResolutionTask
    epochs: int
    callbacks: list[pl.Callback]
    make_loggers: Callable[..., list[Logger]]


def build(job: Job) -> Parts:
    """Make network, data, loss and task.

    Raises:
        UserError: The network cannot be trained, or a part refuses its options.
    """
    config = job.config
    torch.manual_seed(config.seed)
    network = _instantiate(config.model, "model")
    assert isinstance(network, SRModel)
    if not network.trainable:
        raise UserError(
            f"model={job.choices['model']} cannot be trained: {network.reason}\n"
            f"  score it with: python -m sr_experiments.evaluate model={job.choices['model']}"
        )
    if config.init_from is not None:
        start_from(network, Path(config.init_from))
    if not config.budget > 0:
        raise UserError(f"budget={config.budget} is not above 0")
    data = _instantiate(config.data, "data")
    mode = _instantiate(config.quantization, "quantization")
    epochs = max(1, round(config.trainer.epochs * config.budget))
    task = _instantiate(
        config.task,
        "task",
        network=network,
        data=data,
        loss=_instantiate(config.loss, "loss"),
        optimizer=_instantiate(config.optimizer, "optimizer"),
        scheduler=_instantiate(config.scheduler, "scheduler"),
        total_steps=epochs * data.steps_per_epoch,
        channels_last=config.trainer.channels_last,
    )
    quantised = isinstance(mode, PostTraining)
    callbacks = [_instantiate(node, f"callbacks.{name}") for name, node in config.callbacks.items()]
    return Parts(
        network,
        data,
        mode if quantised else None,
        task,
        epochs,
        [item for item in callbacks if quantised or not isinstance(item, Int8Drop)],
        _instantiate(config.logger, "logger"),
    )


def _instantiate(node: DictConfig, group: str, **extra: Any) -> Any:
    def make() -> Any:
        made = instantiate(node, _convert_="all")
        return made(**extra) if extra else made

    return _blaming(group, make)


def _blaming(group: str, action: Callable[[], Any]) -> Any:
    """Run ``action``; whatever it raises becomes a user's error that names the group."""
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"{group}: {cause}") from error


def start_from(network: SRModel, source: Path) -> None:
    """Copy trained weights into ``network``.

    Args:
        network: Changed in place.
        source: A run folder or a ``model.safetensors``.

    Raises:
        UserError: There is no such file, or it is of another network.
    """
    file = source / "model.safetensors" if source.is_dir() else source
    if not file.is_file():
        raise UserError(f"init_from={source}: there is no {file}")
    try:
        network.load_state_dict(load_model(file).state_dict())
    except RuntimeError as error:
        raise UserError(f"init_from={source} holds another network: {error}") from error


def preflight(job: Job, parts: Parts) -> None:
    """One batch forward and backward and one INT8 file, before anything is trained.

    Raises:
        UserError: Naming the key to change.
    """
    data = parts.data
    data.check()
    accelerator = job.config.trainer.accelerator
    if accelerator in ("cuda", "gpu") and not torch.cuda.is_available():
        raise UserError(f"trainer.accelerator={accelerator}: no CUDA device here; use cpu or auto")
    threads = job.config.trainer.threads
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"trainer.threads={threads} is not a whole number from 1, or null for all")
    _blaming("trainer", lambda: _trainer(job, parts.epochs, [], None))
    _blaming("optimizer", parts.task.configure_optimizers)
    low_res = torch.rand(2, 3, data.patch, data.patch)
    high_res = torch.rand(2, 3, data.patch * data.scale, data.patch * data.scale)
    task = parts.task
    random_state, before = torch.get_rng_state(), copy.deepcopy(task.network.state_dict())
    prediction = task.network(low_res)
    if prediction.shape != high_res.shape:
        raise UserError(
            f"model={job.choices['model']} makes {tuple(prediction.shape)} of "
            f"{tuple(low_res.shape)}, not {tuple(high_res.shape)}: check scale={data.scale}"
        )
    terms = _blaming("loss", lambda: task.terms(low_res, high_res))
    torch.autograd.backward(task.total_loss(terms))
    task.network.zero_grad(set_to_none=True)
    if parts.mode is not None:
        if not task.network.deployable:
            raise UserError(
                f"model={job.choices['model']} cannot be quantised: {task.network.reason}\n"
                "  add quantization=none"
            )
        int8_model(parts.mode.quantize(trace(task.network), low_res), height=8, width=8)
    # Training starts as if nothing had run: batch norm has seen the noise above.
    task.network.load_state_dict(before)
    torch.set_rng_state(random_state)


def device(job: Job) -> torch.device:
    """Where the job trains, and so where its batches are made."""
    wants_gpu = job.config.trainer.accelerator in ("auto", "cuda", "gpu")
    return torch.device("cuda" if wants_gpu and torch.cuda.is_available() else "cpu")


def prepare_job(job: Job) -> Parts:
    """Build and preflight a job; used before any job of a grid starts.

    Raises:
        UserError: The job cannot run.
    """
    parts = build(job)
    preflight(job, parts)
    return parts


def run(job: Job) -> dict[str, Any]:
    """Train, or take up an unfinished run, and finish it.

    Returns:
        The content of ``summary.json``.

    Raises:
        UserError: The job cannot run; no folder is left behind.
    """
    _quiet_lightning()
    parts = prepare_job(job)
    parts.data.setup(device(job))  # a damaged image is found before there is a folder
    folder = _open_folder(job)
    print(f"run folder: {folder.path}")
    if folder.status() == "finished":
        folder.unlock()
        print("finished before; nothing to do")
        return folder.summary()
    resuming = folder.last_checkpoint.is_file()
    try:
        threads = _execution(job, folder)
        folder.write_summary(
            {
                "status": "running",
                "model": job.choices["model"],
                "scale": job.config.scale,
                "params_training": count_parameters(parts.network),
                "reason": None,
            }
        )
        loggers = parts.make_loggers(folder=folder.path, name=job.name, config=job.resolved)
        with closing(loggers):
            _fit(job, parts, folder, loggers, resuming)
            state = torch.load(folder.best_checkpoint, map_location="cpu", weights_only=True)
            parts.task.load_state_dict(state["state_dict"])
            summary = _finish(job, parts, folder, threads)
            log_results(loggers, summary, folder.path / "images")
    except BaseException as error:
        if isinstance(error, Exception):
            folder.write_summary({"status": "failed", "reason": str(error) or repr(error)})
        else:
            folder.write_summary({"status": "interrupted", "reason": type(error).__name__})
            print("interrupted; the same command goes on from the last checkpoint")
        raise
    finally:
        folder.unlock()
    return summary


def _open_folder(job: Job) -> RunFolder:
    outputs = Path(job.config.paths.output_dir)
    parent, name = (outputs / job.name, None)
    if job.sweep is not None:
        parent, name = outputs / job.sweep[0], job.sweep[1]
    try:
        folder = RunFolder.choose(parent, job.resolved, resume=job.config.resume, name=name)
        if folder.status() != "finished":
            overrides = "".join(f"- {item}\n" for item in job.overrides)
            write_atomic(folder.path / "overrides.yaml", overrides)
    except OSError as error:
        raise UserError(
            f"paths.output_dir={outputs} cannot be written: {error.strerror or error}"
        ) from error
    return folder


def _execution(job: Job, folder: RunFolder) -> int:
    """Fix what was chosen for speed, once per run folder: a resumed run computes alike."""
    file = folder.path / "environment.json"
    threads = job.config.trainer.threads or environment.usable_cores()
    if file.is_file():
        threads = environment.recorded_threads(file) or threads
    else:
        execution = {
            "threads": threads,
            "channels_last": job.config.trainer.channels_last,
            "precision": job.config.trainer.precision,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
        described = {**environment.describe(), "seed": job.config.seed, "execution": execution}
        write_json(file, described)
    torch.set_num_threads(threads)
    return int(threads)


def _fit(job: Job, parts: Parts, folder: RunFolder, loggers: list[Logger], resuming: bool) -> None:
    folder.last_checkpoint.parent.mkdir(exist_ok=True)
    callbacks = [
        *parts.callbacks,
        progress_callback(),
        RunRecord(folder, loggers),
        Checkpoints(folder.last_checkpoint, folder.best_checkpoint),
    ]
    trainer = _trainer(job, parts.epochs, callbacks, folder.path)
    if resuming:
        print(f"going on from {folder.last_checkpoint}")
    trainer.fit(
        parts.task,
        ckpt_path=str(folder.last_checkpoint) if resuming else None,
        weights_only=True,
    )


def _trainer(job: Job, epochs: int, callbacks: list[pl.Callback], root: Path | None) -> pl.Trainer:
    config = job.config.trainer
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        max_epochs=epochs,
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        logger=False,
        # Lightning would add a bar of its own where there is none.
        enable_progress_bar=any(isinstance(item, ProgressBar) for item in callbacks),
        enable_checkpointing=any(isinstance(item, Checkpoints) for item in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=root,
    )


def _finish(job: Job, parts: Parts, folder: RunFolder, threads: int) -> dict[str, Any]:
    data = parts.data
    calibration = torch.empty(0)
    if parts.mode is not None:
        calibration = data.calibration(parts.mode.calibration_images, parts.mode.calibration_size)
    shipped = ship(
        parts.task.shipped.cpu(), job.resolved["model"], folder.path, parts.mode, calibration
    )
    values = finish(folder, shipped, data, threads)
    rows = folder.metrics()
    train = {
        "steps": int(rows[-1]["iteration"]),
        "seconds": round(sum(float(row["time/epoch"]) for row in rows), 1),
    }
    folder.write_summary({**values, "train": train})
    page = write_page(folder)
    folder.write_summary({"status": "finished"})
    print(f"results, files and pictures: {page}")
    return folder.summary()


def _quiet_lightning() -> None:
    # Advertisements and hints that no user of a configured run can act on.
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")
    # The average of the weights is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")
