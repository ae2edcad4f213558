"""What each option of the group ``logger`` can be told; importing it needs no logger's package."""

import importlib.util
import netrc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from sr_experiments.errors import UserError
from sr_experiments.reporting.loggers.run import LoggedRun

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

# What "wandb login" writes into .netrc: newer releases of W&B, and older ones.
HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")
Mode = Literal["online", "offline", "disabled"]
Checkpoint = Literal["none", "best", "last", "both"]


@dataclass(frozen=True)
class NoLogger:
    """``metrics.csv`` alone."""

    def open(self, run: LoggedRun) -> "list[Logger]":
        """Nothing to start."""
        return []


@dataclass(frozen=True)
class WandB:
    """Weights & Biases, offline and without a question when there is no key.

    Attributes:
        project: W&B project.
        entity: W&B user or team; None: the key's own.
        group: What runs are grouped by; None: the sweep.
        tags: Free words, beside model, enlargement, quantisation and data.
        notes: A text shown with the run.
        mode: ``online``, ``offline``, ``disabled``; None: what ``WANDB_MODE`` says, or online when
            a key is at hand.
        histograms: Epochs between two sets of histograms; a stage's last epoch always has one.
            None: no histograms.
        log_files: Keep the INT8 or FP16 file and the weights as an artifact.
        log_checkpoints: Which checkpoint is an artifact: ``none``, ``best``, ``last``, ``both``.
        save_code: Keep the program's source as an artifact.

    Raises:
        UserError: An option is impossible.
    """

    project: str = "sr_experiments"
    entity: str | None = None
    group: str | None = None
    tags: Sequence[str] = ()
    notes: str | None = None
    mode: Mode | None = None
    histograms: int | None = 10
    log_files: bool = True
    log_checkpoints: Checkpoint = "best"
    save_code: bool = False

    def __post_init__(self) -> None:
        _choice("mode", self.mode, (None, *get_args(Mode)))
        _choice("log_checkpoints", self.log_checkpoints, get_args(Checkpoint))
        _interval(self.histograms)
        if self.mode == "online" and not has_key():
            raise UserError("logger.mode=online: there is no key; log in with: wandb login")

    def open(self, run: LoggedRun) -> "list[Logger]":
        """Start or resume the W&B run."""
        from sr_experiments.reporting.loggers.weights_and_biases import open_run

        return list(open_run(self, run))


@dataclass(frozen=True)
class TensorBoard:
    """TensorBoard's event files.

    Attributes:
        folder: Where they go; None: ``tensorboard`` in the run folder.
        histograms: Epochs between two sets of histograms; None: no histograms.

    Raises:
        UserError: An option is impossible, or the package is not installed.
    """

    folder: str | None = None
    histograms: int | None = 10

    def __post_init__(self) -> None:
        _interval(self.histograms)
        _installed("tensorboard")

    def open(self, run: LoggedRun) -> "list[Logger]":
        """Start or continue the event files."""
        from sr_experiments.reporting.loggers.tensorboard import TensorBoardRun

        return [TensorBoardRun(self, run)]


@dataclass(frozen=True)
class MLflow:
    """MLflow, on a server or in a file.

    Attributes:
        experiment: MLflow experiment that the runs belong to.
        tracking_uri: Server or file; None: ``MLFLOW_TRACKING_URI``, or ``store``.
        store: File of the runs where there is no server.
        histograms: Epochs between two measurements of the quantiser's ranges; None: none. MLflow
            has no histograms: they are drawn in a picture.
        log_files: Keep the INT8 or FP16 file and the weights as artifacts.
        log_checkpoints: Which checkpoint is an artifact: ``none``, ``best``, ``last``, ``both``.

    Raises:
        UserError: An option is impossible, or the package is not installed.
    """

    experiment: str = "sr_experiments"
    tracking_uri: str | None = None
    store: str = "outputs/mlflow.db"
    histograms: int | None = 10
    log_files: bool = True
    log_checkpoints: Checkpoint = "best"

    def __post_init__(self) -> None:
        _choice("log_checkpoints", self.log_checkpoints, get_args(Checkpoint))
        _interval(self.histograms)
        _installed("mlflow")

    def open(self, run: LoggedRun) -> "list[Logger]":
        """Start or resume the MLflow run."""
        from sr_experiments.reporting.loggers.mlflow import open_run

        return [open_run(self, run)]


def has_key() -> bool:
    """Whether W&B can go online: a key in the environment or in ``.netrc``."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    own = os.environ.get("WANDB_BASE_URL")
    hosts = HOSTS if own is None else (own.split("//")[-1].split("/")[0],)
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
        return any(known.authenticators(host) is not None for host in hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def _choice(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        words = ", ".join("null" if item is None else str(item) for item in allowed)
        raise UserError(f"logger.{name}={value} is unknown; choose {words}")


def _interval(value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise UserError(f"logger.histograms={value} is not a whole number from 1, or null for none")


def _installed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f'logger={package} needs a package: pip install "sr_experiments[{package}]"'
        )
