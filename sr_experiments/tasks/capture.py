"""A block of training steps as one CUDA graph.

Sampling, augmentation, forward and backward pass and the optimiser of all steps of a block are
captured once and then replayed; between two replays the CPU only fills three tables:

- what the batches are cut by. They are drawn on the CPU, from seed and iteration as ever, so
  they are those of a plain run, and the graph cuts them from the set in device memory;
- the learning rate of every step, which a capturable optimiser reads from its tensor;
- and, out of the graph, the losses of every step, fetched while the next block runs.

The first block runs step by step: it makes the optimiser's state and warms up cuDNN, as a capture
needs, and is training all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Optimizer

from sr_experiments.data import Draw
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from sr_experiments.tasks.blocks import Blocks
    from sr_experiments.tasks.regression import RegressionTask

CAPTURABLE = "capturable"  # torch's name of an optimiser's option


class Graph:
    """The captured steps of a block of one length, with the tables that they read and write.

    Args:
        blocks: Whose steps.
        optimizer: The task's, whose state exists.
        draws: Of the first block that is going to run: shapes and types of the tables.
    """

    def __init__(self, blocks: Blocks, optimizer: Optimizer, draws: Draw) -> None:
        device = blocks.task.device
        self.draws = Draw(*(values.to(device) for values in draws))
        count, groups = len(draws.first), optimizer.param_groups
        self.rates = torch.zeros(count, len(groups), device=device)
        self.graph = torch.cuda.CUDAGraph()
        self.names: list[str] = []
        try:
            with torch.cuda.graph(self.graph):
                self.losses = self.block(blocks, optimizer)
        except RuntimeError as error:
            raise UserError(
                f"trainer.steps_per_batch: a step of this network or loss cannot be captured as a "
                f"CUDA graph ({str(error).splitlines()[0]}); set trainer.steps_per_batch=1"
            ) from error

    def block(self, blocks: Blocks, optimizer: Optimizer) -> Tensor:
        """What is captured: the steps of the tables, to their losses, (steps, names)."""
        groups = optimizer.param_groups
        before = [group["lr"] for group in groups]
        rows = []
        try:
            for step, rates in enumerate(self.rates):
                for group, rate in zip(groups, rates, strict=True):
                    group["lr"] = rate
                rows.append(self._step(blocks, optimizer, step))
        finally:  # the schedule goes on with numbers
            for group, rate in zip(groups, before, strict=True):
                group["lr"] = rate
        return torch.stack(rows)

    def _step(self, blocks: Blocks, optimizer: Optimizer, step: int) -> Tensor:
        task = blocks.task
        batch = task.data.cut(Draw(*(values[step] for values in self.draws)))
        low_res, high_res = (part.contiguous(memory_format=task.memory_format) for part in batch)
        loss, values = task.losses(low_res, high_res)
        blocks.descend(optimizer, loss)
        task.network.after_step()
        self.names = list(values)
        return torch.stack([value.detach() for value in values.values()])

    def replay(self, draws: Draw, rates: Tensor) -> Tensor:
        """Run the block; (steps, names) losses, on the device and overwritten by the next one."""
        for table, values in zip(self.draws, draws, strict=True):
            table.copy_(pinned(values), non_blocking=True)
        self.rates.copy_(pinned(rates), non_blocking=True)
        self.graph.replay()
        return self.losses


class CapturedBlocks:
    """Blocks on a GPU.

    Args:
        task: What trains.
        optimizer: Its optimiser.
        blocks: What logs.

    Raises:
        UserError: The set does not lie in device memory, or the optimiser cannot be captured.
    """

    pending: tuple[int, list[str], Tensor, torch.cuda.Event] | None = None

    def __init__(self, task: RegressionTask, optimizer: Optimizer, blocks: Blocks) -> None:
        self.task, self.optimizer, self.blocks = task, optimizer, blocks
        if CAPTURABLE not in optimizer.defaults:
            raise UserError(
                f"trainer.steps_per_batch: {type(optimizer).__name__} cannot be captured as a CUDA "
                "graph; choose optimizer=adam or adamw, or set trainer.steps_per_batch=1"
            )
        self.check_home()
        for group in optimizer.param_groups:
            group[CAPTURABLE] = True
        self.graphs: dict[int, Graph] = {}
        self.warm = False

    def check_home(self) -> None:
        """Refuse a set that is cut on the CPU for a GPU."""
        if self.task.data.home.type != self.task.device.type:
            raise UserError(
                "trainer.steps_per_batch: the training set takes more than half of the free "
                "device memory, and a CUDA graph cannot read it from a file; set "
                "trainer.steps_per_batch=1"
            )

    def run(self, first: int, count: int) -> None:
        """Train the steps ``first`` to ``first + count`` of the epoch."""
        if not self.warm:
            self.warm_up(first, count)
            return
        draws, rates = self.tables(count)
        if count not in self.graphs:
            self.graphs[count] = Graph(self.blocks, self.optimizer, draws)
        graph = self.graphs[count]
        losses = graph.replay(draws, torch.tensor(rates))
        self.keep(graph.names, losses)

    def tables(self, count: int) -> tuple[Draw, list[list[float]]]:
        """What the next steps' batches are cut by and their learning rates; the schedule goes on.

        Returns:
            Draws, (steps, ...) each, and the rate of every group in every step.
        """
        task = self.task
        drawn = [task.data.draw(task.iteration + step) for step in range(count)]
        rates = []
        for _ in range(count):
            rates.append([float(group["lr"]) for group in self.optimizer.param_groups])
            self.blocks.advance_schedule()
        return Draw(*(torch.stack(values) for values in zip(*drawn, strict=True))), rates

    def keep(self, names: list[str], losses: Tensor) -> None:
        """Fetch the losses of a block that runs, (steps, names), and count its steps."""
        on_host = pinned(torch.empty(losses.shape, dtype=losses.dtype))
        on_host.copy_(losses, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self.flush()  # of the block before, while this one runs
        self.pending = self.task.iteration, names, on_host, event
        self.task.iteration += len(losses)

    def warm_up(self, first: int, count: int) -> None:
        """The first block, step by step, on a stream of its own as a capture will be."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for step in range(first, first + count):
                self.blocks.take(self.blocks.step(self.optimizer, step))
        torch.cuda.current_stream().wait_stream(stream)
        self.optimizer.zero_grad(set_to_none=True)
        self.warm = True

    def flush(self) -> None:
        """Take in the losses of the block that runs, when it is over."""
        if self.pending is None:
            return
        iteration, names, losses, event = self.pending
        event.synchronize()
        self.pending = None
        self.take_in(iteration, names, losses)

    def take_in(self, iteration: int, names: list[str], losses: Tensor) -> None:
        """Check losses, (steps, names), and add them to those of the epoch.

        Args:
            iteration: Of the first step.
            names: Of the losses.
            losses: On the CPU.
        """
        for step, row in enumerate(losses.tolist()):
            values = dict(zip(names, row, strict=True))
            self.task.check_finite(values, iteration + step)
            self.blocks.take(values)


def check_blocks(task: RegressionTask, *, captured: bool) -> None:
    """Refuse what a CUDA graph cannot hold.

    Raises:
        UserError: Naming the key.
    """
    key = decided_anew(task)
    if captured and key is not None:
        raise UserError(
            f"trainer.steps_per_batch: {key} changes with every step and cannot be captured as a "
            "CUDA graph; set trainer.steps_per_batch=1 or trainer.accelerator=cpu"
        )


def decided_anew(task: RegressionTask) -> str | None:
    """The key of what Python decides anew in every step; None where nothing is."""
    reasons = {
        "quantization=qat": task.is_quantization_aware,
        "task.ema_decay": task.average is not None,
        "callbacks=channel_ranker": task.ranking is not None,
        "data.degradation.share": task.data.degradation.share > 0,
    }
    return next((key for key, is_set in reasons.items() if is_set), None)


def pinned(values: Tensor) -> Tensor:
    """In memory that a GPU copies from while the CPU goes on."""
    return values.pin_memory()
