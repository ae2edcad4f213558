"""Lightning's trainer as this package uses it, and the device and threads it computes on."""

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig

from sr_experiments.callbacks import Checkpoints
from sr_experiments.files import write_json
from sr_experiments.reporting import environment
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks.distributed import AveragingStrategy, OneOf, rank

AUTO = "auto"  # left to a measurement, see `execution`
FP32 = "32-true"


def make_trainer(
    config: DictConfig,
    epochs: int,
    callbacks: list[pl.Callback],
    root: Path | None,
    *,
    clips: bool = True,
) -> pl.Trainer:
    """A trainer of one stage.

    Args:
        config: The group ``trainer``.
        epochs: Of the stage.
        callbacks: All of them.
        root: The run folder; None where nothing is going to be written.
        clips: Whether Lightning clips gradients; not of a task that optimises by itself.
    """
    precision: Any = FP32 if config.precision == AUTO else config.precision
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy=AveragingStrategy() if config.devices > 1 else "auto",
        plugins=[OneOf()],  # not what Lightning finds on a cluster, for a sweep's launcher is there
        precision=precision,
        max_epochs=epochs,
        gradient_clip_val=config.gradient_clip if clips else None,
        callbacks=callbacks,
        logger=False,
        # Lightning would add a bar of its own where there is none.
        enable_progress_bar=any(isinstance(item, ProgressBar) for item in callbacks),
        enable_checkpointing=any(isinstance(item, Checkpoints) for item in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=root,
    )


def device(config: DictConfig) -> torch.device:
    """Where this process trains a stage, and so where its batches are made.

    Args:
        config: The group ``trainer``.
    """
    wants_gpu = config.accelerator in ("auto", "cuda", "gpu")
    if not (wants_gpu and torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", rank()) if config.devices > 1 else torch.device("cuda")


def fix_execution(config: DictConfig, seed: int, folder: RunFolder) -> int:
    """Fix what was chosen for speed, once per run folder: a resumed run computes alike.

    Args:
        config: The group ``trainer``.
        seed: Of the run, for the record.
        folder: Its ``environment.json`` is written, or read when it is there.

    Returns:
        CPU threads of each process, which torch now uses.
    """
    file = folder.path / "environment.json"
    threads = config.threads or max(1, environment.usable_cores() // config.devices)
    if file.is_file():
        threads = environment.recorded_threads(file) or threads
    else:
        execution = {
            "processes": config.devices,
            "threads": threads,
            "channels_last": config.channels_last,
            "precision": config.precision,
            "compile": config.compile,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
        write_json(file, {**environment.describe(), "seed": seed, "execution": execution})
    torch.set_num_threads(threads)
    return int(threads)


def quiet_lightning() -> None:
    """Silence advertisements and hints that no user of a configured run can act on."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")
    # What the first process measures for all is rightly not averaged over them.
    warnings.filterwarnings("ignore", ".*recommended to use .self.log.*sync_dist=True.*")
    # Batches are a function of their number: no loader has anything to remember.
    warnings.filterwarnings("ignore", ".*dataloader is not resumable.*")
    # The average of the weights is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")
