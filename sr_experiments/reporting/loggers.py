"""Loggers beside ``metrics.csv``; each factory gets the run folder and the configuration."""

import netrc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.files import write_atomic

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, WandbLogger


def no_logger(folder: Path, name: str, config: Mapping[str, Any]) -> "list[Logger]":
    """``metrics.csv`` alone."""
    return []


def wandb_logger(
    folder: Path,
    name: str,
    config: Mapping[str, Any],
    project: str = "sr_experiments",
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    offline: bool | None = None,
) -> "list[WandbLogger]":
    """Weights & Biases, offline and without a question when there is no key.

    A resumed run goes on in the same W&B run: its id is kept in the run folder.

    Args:
        folder: The run folder; files go to its ``wandb/``.
        name: Name of the run.
        config: Resolved configuration, shown with the run.
        project: W&B project.
        entity: W&B user or team; None: the key's own.
        group: What runs are grouped by.
        tags: Free words.
        offline: None: online when a key is at hand.
    """
    from lightning.pytorch.loggers import WandbLogger

    if offline is None:
        offline = os.environ.get("WANDB_MODE") == "offline" or not has_key()
    stored = folder / "wandb_id"
    identity = stored.read_text("utf-8").strip() if stored.is_file() else os.urandom(4).hex()
    write_atomic(stored, identity + "\n")
    logger = WandbLogger(
        name=name,
        project=project,
        entity=entity,
        group=group,
        tags=list(tags),
        save_dir=folder,
        offline=offline,
        id=identity,
        resume=None if offline else "allow",
        config=dict(config),
    )
    run = logger.experiment
    for axis in ("epoch", "iteration"):
        run.define_metric(axis)
    for names, axis in (("train/*", "iteration"), ("lr/*", "iteration"), ("val*", "epoch")):
        run.define_metric(names, step_metric=axis)
    if offline:
        where = run.dir.removesuffix("/files")
        print(f"W&B is offline (no key); upload later with: wandb sync {where}")
    return [logger]


@contextmanager
def closing(loggers: "Sequence[Logger]") -> Iterator[None]:
    """Close the loggers at the end, with a failure's exit code when there was one."""
    try:
        yield
    except BaseException:
        _close(loggers, failed=True)
        raise
    _close(loggers, failed=False)


def _close(loggers: "Sequence[Logger]", *, failed: bool) -> None:
    from lightning.pytorch.loggers import WandbLogger

    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):  # its run is open until it is told otherwise
            logger.experiment.finish(exit_code=int(failed))


def log_results(loggers: "Sequence[Logger]", summary: Mapping[str, Any], images: Path) -> None:
    """Send the end results and the strips to loggers that show pictures.

    Args:
        loggers: All loggers of the run.
        summary: Content of ``summary.json``.
        images: Folder of the strips.
    """
    from lightning.pytorch.loggers import WandbLogger

    for logger in loggers:
        if isinstance(logger, WandbLogger):
            strips = sorted(images.glob("*.png"))
            logger.log_image("strips", [str(path) for path in strips])
            logger.experiment.summary.update(dict(summary))


def has_key() -> bool:
    """Whether W&B can go online: a key in the environment or in ``.netrc``."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
