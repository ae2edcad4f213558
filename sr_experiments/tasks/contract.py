"""What a training procedure must offer, so that one orchestration trains them all.

A run (``sr_experiments.train``) knows stages, folders, checkpoints and loggers, and nothing of
pictures or classes. It makes a task from the node ``task`` of the configuration with the
keywords

- ``network``: what ``model`` names, or the network of the stage before;
- ``data``: what ``data`` names, see `TrainingData`;
- ``loss``, ``optimizer``, ``scheduler``: what these groups name, the last two as factories;
- ``quantization``: the mode that the group names;
- ``total_steps``: length of this stage in batches;
- ``channels_last``: whether activations are wanted in NHWC memory order;

and then calls, in this order: ``preflight`` before anything is trained or written, Lightning's
own hooks while it trains, ``outcome`` when the stage is over and the best weights are loaded,
and ``finish`` after the last stage.
"""

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import lightning.pytorch as pl
import torch
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder


class TrainingData(Protocol):
    """What a run asks of a data set.

    Attributes:
        steps_per_epoch: Batches of one epoch; a run shorter than an epoch sets a smaller number.
    """

    steps_per_epoch: int

    def check(self) -> None:
        """Look for the files, decode and write nothing; a ``UserError`` names the key."""

    def setup(self, device: torch.device) -> None:
        """Make everything ready, with batches on ``device`` from now on.

        Also called before there is a run folder, so that damaged files are found.
        """


class Task(pl.LightningModule):
    """A LightningModule that a run can train, resume, hand on and finish.

    It logs what it measures with ``self.log``: ``metrics.csv`` gets each epoch's. Its batches
    are a pure function of ``iteration``, and whatever else it remembers is in its state dict or
    checkpoint, so that a resumed run computes the same.

    Attributes:
        metric: What the best network is chosen by, logged in every epoch.
        higher_is_better: Whether more of it is.
        shares_batches: Whether several processes train it together, each on its part of a batch
            (see ``tasks.distributed``).
        resumes_in_epoch: Whether a checkpoint from the middle of an epoch holds all there is.
        network: What is trained.
        data: Its data set.
        iteration: Data batches trained on so far, those of the run's earlier stages included.
        waited: Seconds of this epoch in which steps waited for their batches.
    """

    metric: ClassVar[str] = "val/psnr"
    higher_is_better: ClassVar[bool] = True
    shares_batches: ClassVar[bool] = False
    resumes_in_epoch: ClassVar[bool] = True
    network: nn.Module
    data: TrainingData
    iteration: int = 0
    waited: float = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count what happens within as waiting for a batch."""
        start = time.perf_counter()
        yield
        self.waited += time.perf_counter() - start

    @property
    def newest_is_best(self) -> bool:
        """Whether what a stage leaves is its last network, whatever the metric says of it."""
        return False

    @abstractmethod
    def preflight(self, choices: Mapping[str, str]) -> None:
        """Try everything that training, validation and the end of the run will do, in seconds.

        Leaves the task and torch's random state as they were.

        Args:
            choices: Group to chosen option, for what an error tells the user to type.

        Raises:
            UserError: Naming the key to change.
        """

    def check_compiles(self) -> None:
        """Refuse ``trainer.compile=true`` where the step cannot be compiled.

        Raises:
            UserError: Always, unless a task has something to compile.
        """
        raise UserError(
            f"trainer.compile=true: the steps of {type(self).__name__} are not compiled; leave "
            "trainer.compile=false"
        )

    def compile_step(self) -> None:
        """Compile what training computes of each batch; see `check_compiles`."""

    def train_in_blocks(self, steps: int, clip: float | None, *, captured: bool) -> None:
        """Make each of Lightning's batches a block of steps.

        Args:
            steps: Of a block, at least 2.
            clip: Largest norm of the gradient, which the task then clips by itself.
            captured: Whether a block is going to be one CUDA graph.

        Raises:
            UserError: Something in the task cannot be; always, unless a task has blocks.
        """
        raise UserError(
            f"trainer.steps_per_batch={steps}: {type(self).__name__} takes one step per batch; "
            "leave it at 1"
        )

    def outcome(self, config: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """The network that this stage leaves and the ``model`` node that describes it.

        Called with the best weights loaded, and once in preflight on untrained ones, so that
        the next stage can be checked. A task that changes the network's shape returns the new
        network and its own options; the network must be one of ``sr_experiments.models``.

        Args:
            config: The node that described the network when the stage began.
        """
        return self.network, dict(config)

    @abstractmethod
    def finish(self, folder: RunFolder, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Ship, test and print the results of the run.

        Args:
            folder: Where files go.
            config: The ``model`` node of the network.
            threads: CPU threads for whatever is timed.

        Returns:
            The values that ``summary.json`` gains.
        """

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the batch counter."""
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the batch counter."""
        self.iteration = int(checkpoint["iteration"])
