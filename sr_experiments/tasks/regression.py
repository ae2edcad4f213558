"""Plain regression: one network, one optimiser, a schedule stepped per batch, a sum of terms.

A step minimises the loss's terms, those of every regulariser, and the distance from a teacher.
What each term was is in the metrics under its own name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.tasks.base import SuperResolutionTask
from sr_experiments.tasks.blocks import Blocks
from sr_experiments.tasks.capture import check_blocks
from sr_experiments.tasks.distillation import learn_from
from sr_experiments.tasks.grouped import Step
from sr_experiments.tasks.scheduling import TERM, TOTAL, OptimizerFactory, SchedulerFactory
from sr_experiments.tasks.turns import current_seat


class RegressionTask(SuperResolutionTask):
    """Minimise ``loss(prediction, high_res)`` and what regularises the network.

    Args:
        network: The network to train.
        loss: ``(prediction, high_res)`` to a scalar or to named, weighted terms; with the class
            attribute ``needs_low_res`` also called with the low-resolution batch.
        data: The data set.
        optimizer: Makes the optimiser from the parameters.
        scheduler: Makes the schedule from ``optimizer`` and ``total_steps``.
        total_steps: Length of the whole training, in batches.
        quantization: See `SuperResolutionTask`.
        regularizers: By name, ``(network) -> scalar``.
        teacher: A trained network, or the run folder or ``model.safetensors`` that has one, to
            learn from beside the pictures; None for none.
        distillation: ``weight`` and ``loss`` of the distance from the teacher's prediction.
        ema_decay: See `SuperResolutionTask`.
        bias_rate: See `SuperResolutionTask`.
        channels_last: See `SuperResolutionTask`.
    """

    shares_batches = True

    def __init__(
        self,
        network: SRModel,
        loss: nn.Module,
        data: SRData,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        *,
        total_steps: int,
        quantization: PostTraining | HalfPrecision | NoQuantization | None = None,
        regularizers: Mapping[str, nn.Module] | None = None,
        teacher: SRModel | str | None = None,
        distillation: Mapping[str, Any] | None = None,
        ema_decay: float | None = None,
        bias_rate: float = 1.0,
        channels_last: bool = True,
    ) -> None:
        super().__init__(
            network,
            data,
            quantization=quantization,
            ema_decay=ema_decay,
            bias_rate=bias_rate,
            channels_last=channels_last,
        )
        self.loss = loss
        self.regularizers = nn.ModuleDict(regularizers)
        self.distillation = learn_from(teacher, distillation, network.scale)
        self.total_steps = total_steps
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.blocks: Blocks | None = None

    def terms(
        self, low_res: Tensor, high_res: Tensor, prediction: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What a step minimises the sum of, by name.

        Args:
            low_res: (N, 3, H, W) in [0, 1].
            high_res: (N, 3, scale * H, scale * W) in [0, 1].
            prediction: What the network makes of ``low_res``, where that is known.
        """
        prediction = self.predict(low_res) if prediction is None else prediction
        terms = self._terms(self.network, prediction.to(low_res.dtype), low_res, high_res)
        penalty = None if self.quantizer is None else self.quantizer.penalty()
        if penalty is not None:
            terms["sqcl"] = penalty
        if self.ranking is not None:
            terms |= self.ranking.terms()
        return terms

    def _terms(
        self, network: SRModel, prediction: Tensor, low_res: Tensor, high_res: Tensor
    ) -> dict[str, Tensor]:
        """The terms of one network: the trained one, or its FP32 twin."""
        terms = loss_terms(self.loss, prediction, high_res, low_res)
        for name, regularizer in self.regularizers.items():
            if name in terms:
                raise UserError(
                    f"task.regularizers.{name}: the loss has a term of that name; use another"
                )
            terms[name] = regularizer(network)
        if self.distillation is not None:
            terms["distillation"] = self.distillation.term(low_res, prediction)
        return terms

    def training_step(self, index: int, batch_idx: int) -> Tensor | None:
        """One optimiser step on the batch of this iteration, or a block of them.

        The entry ``index`` is unused.
        """
        if self.blocks is not None:
            self.blocks.run(batch_idx)
            return None
        loss, values = self.losses(*self.train_batch())
        self.check_finite(values, self.iteration)
        for name, value in values.items():
            self.log(name, value, on_epoch=True, on_step=False, batch_size=1, sync_dist=True)
        return loss

    def losses(
        self, low_res: Tensor, high_res: Tensor, prediction: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a step minimises, and what it logs by name, which nothing waits for.

        Runs that train as one batched network meet here, unless there is a prediction.

        Args:
            low_res: (N, 3, H, W) in [0, 1].
            high_res: (N, 3, scale * H, scale * W) in [0, 1].
            prediction: What the network makes of ``low_res``, where that is known.
        """
        seat = current_seat()
        if seat is not None and prediction is None:
            answer: tuple[Tensor, dict[str, Tensor]] = seat.meet(Step(self, low_res, high_res))
            return answer
        terms = self.terms(low_res, high_res, prediction)
        loss = torch.stack(list(terms.values())).sum()
        values = {TOTAL: loss} | {TERM + name: value for name, value in terms.items()}
        if self.reference is not None and self.reference.trains:
            prediction = self.reference(low_res)
            apart = self._terms(self.reference.network, prediction, low_res, high_res)
            values["train/loss_twin"] = torch.stack(list(apart.values())).sum()
            loss = loss + values["train/loss_twin"]
        return loss, {name: value.detach() for name, value in values.items()}

    def train_dataloader(self) -> Iterable[int]:
        """One entry per step of an epoch, or per block of them."""
        return super().train_dataloader() if self.blocks is None else range(self.blocks.per_epoch)

    def train_in_blocks(self, steps: int, clip: float | None, *, captured: bool) -> None:
        """Train ``steps`` in each of Lightning's batches; see `Task`."""
        check_blocks(self, captured=captured)
        self.automatic_optimization = False
        self.blocks = Blocks(self, steps, clip, captures=captured)

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Count the batch; a block has done so itself."""
        if self.blocks is None:
            self.after_batch(batch_idx)

    def after_batch(self, step: int) -> None:
        """Count a batch, restore what must not train, and move the average.

        Args:
            step: Of the epoch.
        """
        self.iteration += 1
        self.network.after_step()
        if self.ranking is not None:
            self.ranking.advance()
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.reference is not None:
            self.reference.after_step()
        if self.quantizer is not None:
            steps = self.data.steps_per_epoch
            done = self.trainer.current_epoch * steps + step + 1
            self.quantizer.advance(done / self.total_steps)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule."""
        optimizer: torch.optim.Optimizer = self.make_optimizer(self.parameter_groups())
        for group in optimizer.param_groups:
            group["lr"] *= group.get("rate", 1.0)
        scheduler = self.make_scheduler(optimizer, total_steps=self.total_steps)
        return self.scheduled(optimizer, scheduler)


def loss_terms(
    loss: nn.Module, prediction: Tensor, high_res: Tensor, low_res: Tensor
) -> dict[str, Tensor]:
    """Named terms of a loss; one that gives a single number is named after its class.

    Raises:
        UserError: It gives neither a scalar nor a mapping of scalars.
    """
    name = type(loss).__name__.lower()
    needs_low_res = getattr(loss, "needs_low_res", False)
    value = loss(prediction, high_res, low_res) if needs_low_res else loss(prediction, high_res)
    terms = dict(value) if isinstance(value, Mapping) else {name: value}
    wrong = [key for key, term in terms.items() if not isinstance(term, Tensor) or term.ndim]
    if wrong or not terms:
        raise UserError(
            f"loss: {type(loss).__name__} must give a scalar tensor or a mapping of names to "
            f"scalar tensors; {', '.join(wrong) or 'the mapping'} is none"
        )
    return terms
