"""Blocks of steps: one batch of Lightning's is ``trainer.steps_per_batch`` steps of training.

What Lightning does around a batch, and Python around a step, costs more than a step of a small
network on a large GPU. There a block is one CUDA graph (see `capture`); on the CPU it is a loop.
Batches, losses, schedule and counters are those of single steps: the same weights come out, and
a checkpoint falls between two blocks.

The means of an epoch are added up here, in double precision and step by step, and not by
Lightning: so they do not depend on the length of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sr_experiments.errors import UserError
from sr_experiments.tasks.capture import CapturedBlocks
from sr_experiments.tasks.grouped import GroupedBlocks, stepwise
from sr_experiments.tasks.turns import current_seat

if TYPE_CHECKING:
    from sr_experiments.tasks.regression import RegressionTask

HALF = "16-mixed"


class Blocks:
    """Runs the steps of a regression, block by block.

    Args:
        task: What trains.
        steps: Of a block; the last one of an epoch may be shorter.
        clip: Largest norm of the gradient; None does not clip.
        captures: Whether a block is one CUDA graph.
    """

    def __init__(
        self, task: RegressionTask, steps: int, clip: float | None, *, captures: bool
    ) -> None:
        self.task, self.steps, self.clip, self.captures = task, steps, clip, captures
        self.sums: dict[str, float] = {}
        self.captured: CapturedBlocks | None = None

    @property
    def per_epoch(self) -> int:
        """Blocks of an epoch."""
        return -(-self.task.data.steps_per_epoch // self.steps)

    def run(self, block: int) -> None:
        """Train the steps of one block of the epoch, and log the epoch's means at its end.

        Raises:
            UserError: The number format needs scaled gradients.
            NonFiniteLossError: A loss term is no number.
        """
        task = self.task
        if task.trainer.precision == HALF:
            raise UserError(
                f"trainer.steps_per_batch scales no gradients, as trainer.precision={HALF} needs; "
                "choose bf16-mixed, or trainer.steps_per_batch=1"
            )
        if block == 0:
            self.sums = {}
        whole = task.data.steps_per_epoch
        first = block * self.steps
        count = min(self.steps, whole - first)
        optimizer = task.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        if self.captured is None:
            self.captured = self._captured(optimizer)
        if self.captured is not None:
            self.captured.run(first, count)
        else:
            for step in range(first, first + count):
                self.take(self.step(optimizer, step))
        if first + count == whole:
            if self.captured is not None:
                self.captured.flush()
            for name, value in self.sums.items():
                task.log(name, value / whole, on_epoch=True, on_step=False, batch_size=1)

    def _captured(self, optimizer: torch.optim.Optimizer) -> CapturedBlocks | None:
        """What takes whole blocks at once; None where steps are taken one by one."""
        seat = current_seat()
        if seat is not None and stepwise(self.task, optimizer) is None:
            return GroupedBlocks(self.task, optimizer, self, seat)
        return CapturedBlocks(self.task, optimizer, self) if self.captures else None

    def step(self, optimizer: torch.optim.Optimizer, step: int) -> dict[str, float]:
        """One step, as Lightning would take it; its losses by name.

        Args:
            optimizer: The task's.
            step: Of the epoch.
        """
        task = self.task
        loss, values = task.losses(*task.train_batch())
        task.check_finite(values, task.iteration)
        self.descend(optimizer, loss)
        self.advance_schedule()
        task.after_batch(step)
        return {name: float(value) for name, value in values.items()}

    def descend(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        """Backward pass and step of the optimiser; nothing of it waits for a GPU."""
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(loss.device.type, enabled=False):
            torch.autograd.backward(loss)
            self.task.configure_gradient_clipping(optimizer, self.clip)
            optimizer.step()
        # Autocast keeps the weights it has cast until it ends, which is after the block.
        torch.clear_autocast_cache()

    def advance_schedule(self) -> None:
        """Step the schedule, unless it waits for a plateau."""
        for config in self.task.trainer.lr_scheduler_configs:
            if not isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step()

    def take(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step to the sums of the epoch."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
