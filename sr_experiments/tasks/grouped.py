"""What runs that train together compute at their meetings: a step of all, or a block of steps.

A run offers the batch of its next step, and gets its loss with the gradients of its parameters:
clipping, optimiser, schedule, averages and logging stay its own. That is a step as it would be
alone, but the runs' own parts cost Python's time in every step.

In blocks (``trainer.steps_per_batch``) a run offers what its batches are cut by and its learning
rates, as it does to a CUDA graph of its own (see `capture`). The steps of all are then taken on one
batched network by one batched Adam, on a GPU in one CUDA graph, and the runs get weights and
moments at the end of the block. What must look at the weights after every step cannot be in
such a block; on a CPU its steps are then taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.optim import Optimizer

from sr_experiments.data import Draw
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.tasks.batched import BatchedAdam, BatchedNetworks, check_optimizer, clipped
from sr_experiments.tasks.capture import CapturedBlocks, decided_anew, pinned
from sr_experiments.tasks.turns import Seat

if TYPE_CHECKING:
    from sr_experiments.tasks.blocks import Blocks
    from sr_experiments.tasks.regression import RegressionTask

Losses = tuple[Tensor, dict[str, Tensor]]
Batched = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(eq=False)
class Step:
    """A run's next step.

    Attributes:
        task: The run's.
        low_res: (N, 3, H, W) in [0, 1].
        high_res: (N, 3, scale * H, scale * W) in [0, 1].
    """

    task: RegressionTask
    low_res: Tensor
    high_res: Tensor

    @property
    def size(self) -> tuple[Any, ...]:
        """What steps that are taken at once have in common besides their networks."""
        return type(self), self.low_res.shape


@dataclass(eq=False)
class Block:
    """A run's next steps.

    Attributes:
        task: The run's.
        optimizer: Its optimiser.
        clip: Largest norm of the gradient; None does not clip.
        draws: What its batches are cut by, (steps, ...) each.
        rates: (steps, groups) learning rates.
    """

    task: RegressionTask
    optimizer: Optimizer
    clip: float | None
    draws: Draw
    rates: Tensor

    @property
    def size(self) -> tuple[Any, ...]:
        """What blocks that are trained at once have in common besides their networks."""
        return type(self), self.rates.shape, self.draws.first.shape, self.clip


class Meeting:
    """Answers the offers of runs; what it has stacked stays until others meet."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Any, ...], Batched] = {}
        self.shapes: WeakKeyDictionary[RegressionTask, tuple[Any, ...]] = WeakKeyDictionary()

    def __call__(self, offers: Sequence[Step | Block]) -> list[Any]:
        """What comes of each offer, or what its run fails with."""
        answers: list[Any] = [None] * len(offers)
        alike: dict[tuple[Any, ...], list[int]] = {}
        for place, offer in enumerate(offers):
            kind = *offer.size, self._shape(offer.task)
            alike.setdefault(kind, []).append(place)
        used: dict[tuple[Any, ...], Batched] = {}
        for places in alike.values():
            some = [offers[place] for place in places]
            key = type(some[0]), *(id(offer.task) for offer in some)
            batched = self.kept.get(key) or batch(some)
            used[key] = batched
            for place, answer in zip(places, batched(some), strict=True):
                answers[place] = answer
        self.kept = used
        return answers

    def _shape(self, task: RegressionTask) -> tuple[Any, ...]:
        """What the tasks of one batched network have in common."""
        if task not in self.shapes:
            values = task.network.state_dict()
            shapes = ((name, value.shape) for name, value in values.items())
            self.shapes[task] = type(task.network), task.device, *shapes
        return self.shapes[task]


def batch(offers: Sequence[Any]) -> Batched:
    """The batched network that offers of one kind are answered with."""
    return BatchedBlocks(offers) if isinstance(offers[0], Block) else BatchedSteps(offers)


class BatchedSteps:
    """Single steps of several runs.

    Args:
        offers: The first of each.
    """

    def __init__(self, offers: Sequence[Step]) -> None:
        self.networks = BatchedNetworks([offer.task.network for offer in offers])

    def __call__(self, offers: Sequence[Step]) -> list[Losses | Exception]:
        """Loss of each run, whose backward pass hands out the gradients, and what it logs."""
        self.networks.stack()
        predictions = self.networks.predict(torch.stack([offer.low_res for offer in offers]))
        answers: list[Losses | Exception] = []
        for offer, prediction in zip(offers, predictions, strict=True):
            try:
                answers.append(offer.task.losses(offer.low_res, offer.high_res, prediction))
            except Exception as error:  # of this run; the others go on
                answers.append(error)
        losses = [
            prediction.sum() * 0 if isinstance(answer, Exception) else answer[0]
            for answer, prediction in zip(answers, predictions, strict=True)
        ]
        own = any(len(offer.task.regularizers) for offer in offers)
        gradients = self.networks.split(self.networks.gradient(losses, own=own))
        return [
            answer
            if isinstance(answer, Exception)
            else (handed(answer[0].detach(), offer.task.network, gradient), answer[1])
            for offer, answer, gradient in zip(offers, answers, gradients, strict=True)
        ]


class _Handed(torch.autograd.Function):
    """A loss whose gradients are known."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, loss: Tensor, gradients: Sequence[Tensor], *parameters: Tensor
    ) -> Tensor:
        ctx.gradients = gradients  # type: ignore[attr-defined]
        return loss.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *scales: Tensor) -> tuple[Tensor | None, ...]:
        gradients: Sequence[Tensor] = ctx.gradients  # type: ignore[attr-defined]
        return None, None, *(scales[0] * gradient for gradient in gradients)


def handed(loss: Tensor, network: nn.Module, gradients: Mapping[str, Tensor]) -> Tensor:
    """A loss whose backward pass gives a network's parameters these gradients, by name."""
    trained = dict(network.named_parameters())
    values: Tensor = _Handed.apply(
        loss, list(gradients.values()), *(trained[name] for name in gradients)
    )
    return values


class BatchedBlocks:
    """Blocks of steps of several runs.

    Args:
        offers: The first of each. Their data differ in nothing but the seed.
    """

    def __init__(self, offers: Sequence[Block]) -> None:
        self.tasks = [offer.task for offer in offers]
        self.networks = BatchedNetworks([task.network for task in self.tasks])
        self.adam = BatchedAdam(self.networks, [offer.optimizer for offer in offers])
        self.clip = offers[0].clip
        self.names: list[list[str]] = []
        self.captures = self.networks.vector.device.type == "cuda"
        self.graphs: dict[int, Replayed] = {}
        self.warm = False

    def __call__(self, offers: Sequence[Block]) -> list[tuple[list[str], Tensor]]:
        """Names of each run's losses, and their values, (steps, names), on the device.

        The next block overwrites them.
        """
        self.networks.stack()
        self.adam.stack()
        drawn = zip(*(offer.draws for offer in offers), strict=True)
        draws = Draw(*(torch.cat(values, dim=1) for values in drawn))
        tables = self.adam.tables(torch.stack([offer.rates for offer in offers], dim=1))
        losses = (self._on_gpu if self.captures else self.train)(draws, tables)
        self.networks.unstack()
        self.adam.unstack(len(tables))
        return list(zip(self.names, losses, strict=True))

    def train(self, draws: Draw, tables: Tensor) -> list[Tensor]:
        """Take the steps.

        Args:
            draws: (steps, crops of all runs, ...), run by run.
            tables: Of the optimiser, on the device.

        Returns:
            Losses of each run, (steps, names).
        """
        rows = [
            self._step(Draw(*(values[step] for values in draws)), table)
            for step, table in enumerate(tables)
        ]
        return [torch.stack(values) for values in zip(*rows, strict=True)]

    def _step(self, draw: Draw, table: Tensor) -> list[Tensor]:
        count = len(self.tasks)
        low_res, high_res = (
            part.view(count, -1, *part.shape[1:]) for part in self.tasks[0].data.cut(draw)
        )
        predictions = self.networks.predict(low_res)
        runs = zip(self.tasks, low_res, high_res, predictions, strict=True)
        answers = [task.losses(low, high, prediction) for task, low, high, prediction in runs]
        gradient = self.networks.gradient([loss for loss, _ in answers])
        if self.clip is not None:
            gradient = clipped(self.networks, gradient, self.clip)
        self.adam.step(gradient, table)
        self.names = [list(values) for _, values in answers]
        return [torch.stack(list(values.values())) for _, values in answers]

    def _on_gpu(self, draws: Draw, tables: Tensor) -> list[Tensor]:
        """The first block step by step, which warms up cuDNN; every other as one CUDA graph."""
        device = self.networks.vector.device
        if not self.warm:
            self.warm = True
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                losses = self.train(Draw(*(part.to(device) for part in draws)), tables.to(device))
            torch.cuda.current_stream().wait_stream(stream)
            return losses
        if len(tables) not in self.graphs:
            self.graphs[len(tables)] = Replayed(self, draws, tables)
        return self.graphs[len(tables)](draws, tables)


class Replayed:
    """The steps of a block of one length as a CUDA graph.

    Args:
        blocks: Whose steps.
        draws: Of the first block: shapes and types.
        tables: Likewise.
    """

    def __init__(self, blocks: BatchedBlocks, draws: Draw, tables: Tensor) -> None:
        device = blocks.networks.vector.device
        self.blocks = blocks
        self.draws = Draw(*(values.to(device) for values in draws))
        self.tables = tables.to(device)
        self.graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self.graph):
                self.losses = blocks.train(self.draws, self.tables)
        except RuntimeError as error:
            raise UserError(
                "trainer.steps_per_batch: the steps of these runs cannot be captured as one CUDA "
                f"graph ({str(error).splitlines()[0]}); leave out hydra/launcher=batched"
            ) from error

    def __call__(self, draws: Draw, tables: Tensor) -> list[Tensor]:
        """Run the block; losses of each run, which the next one overwrites."""
        for mine, values in zip((*self.draws, self.tables), (*draws, tables), strict=True):
            mine.copy_(pinned(values), non_blocking=True)
        self.graph.replay()
        return self.losses


class GroupedBlocks(CapturedBlocks):
    """The blocks of a run that meets others for them.

    Args:
        task: What trains.
        optimizer: Its optimiser.
        blocks: What logs.
        seat: The run's.

    Raises:
        UserError: The set does not lie in device memory.
    """

    def __init__(
        self, task: RegressionTask, optimizer: Optimizer, blocks: Blocks, seat: Seat
    ) -> None:
        self.task, self.optimizer, self.blocks, self.seat = task, optimizer, blocks, seat
        # The schedule warns of an optimiser that takes no steps: the batched one takes them.
        optimizer._opt_called = True  # type: ignore[attr-defined]
        self.check_home()

    def run(self, first: int, count: int) -> None:
        """Train the steps ``first`` to ``first + count`` of the epoch."""
        draws, rates = self.tables(count)
        table = torch.tensor(rates, dtype=torch.float64)
        offer = Block(self.task, self.optimizer, self.blocks.clip, draws, table)
        names, losses = self.seat.meet(offer)
        self.keep(names, losses)

    def keep(self, names: list[str], losses: Tensor) -> None:
        """Take in the losses of a block, on a GPU while the next one runs."""
        if losses.device.type == "cuda":
            super().keep(names, losses)
            return
        first = self.task.iteration
        self.task.iteration += len(losses)
        self.take_in(first, names, losses)


def stepwise(task: RegressionTask, optimizer: Optimizer) -> str | None:
    """What of a run keeps it from blocks that several share, if anything does."""
    key = decided_anew(task)
    if key is None and len(task.regularizers):
        key = "task.regularizers"
    if key is None and type(task.network).after_step is not SRModel.after_step:
        key = f"what {type(task.network).__name__} does to its weights"
    if key is not None:
        return f"{key} changes with every step"
    try:
        check_optimizer(optimizer)
    except UserError as error:
        return str(error)
    return None
