"""Adversarial training: a generator that enlarges, and a discriminator that tells it from photos.

Both gradients of a batch are of the networks as they were before it: one forward pass of the
generator serves both, and a batch in parts (``accumulate``) gives the gradient of the whole.
Batch norm and the relativistic mean alone see the parts.

Optimisation is manual, and with torch's own optimisers: Lightning would count two steps a batch,
update the scaler of fp16 twice, refuse to clip, and step no schedule.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import GeneratorLoss, gradient_penalty
from sr_experiments.models import SRModel
from sr_experiments.models.discriminators import Discriminator
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.quantization.qat import QuantizationAware
from sr_experiments.tasks.base import SuperResolutionTask, trainable_parameters
from sr_experiments.tasks.distributed import average_gradients
from sr_experiments.tasks.regression import loss_terms
from sr_experiments.tasks.rivalry import Rivalry
from sr_experiments.tasks.scheduling import OptimizerFactory, SchedulerFactory

NAMES = ("network", "discriminator")
MONITORS = ("monitor", "discriminator_monitor")
DISCRIMINATOR_LOSS = "train/discriminator/loss"
MEASURED = ("train/", "val/")
RISING = ("psnr", "ssim")  # metrics of which more is better


class GANTask(SuperResolutionTask):
    """Minimise the loss's terms on pictures and its adversarial one, against a discriminator.

    Args:
        network: The generator.
        loss: A `GeneratorLoss`.
        data: The data set.
        optimizer: Makes the generator's optimiser from its parameters.
        scheduler: Makes its schedule from ``optimizer`` and ``total_steps``; one that waits for
            a plateau is shown ``monitor`` once per epoch.
        total_steps: Length of the whole training, in batches.
        discriminator: (N, 3, H, W) to (N, 1) logits.
        discriminator_optimizer: Its own.
        discriminator_scheduler: Its own.
        monitor: Metric that the generator's plateau is judged by.
        discriminator_monitor: Metric that the discriminator's is.
        warmup: Share of the training in which only the generator trains, without the
            adversarial term.
        d_steps: Steps of the discriminator in a cycle of ``max(d_steps, g_steps)`` batches: its
            first ones.
        g_steps: Steps of the generator in such a cycle: its last ones.
        accumulate: Parts that each batch passes through the networks in, to save memory.
        r1: Weight of the gradient penalty at real pictures; 0 leaves it out.
        r1_every: Batches between two penalties, each then weighed as much more.
        gradient_clip: Largest norm of the gradient of each network; None does not clip.
        best_by: Metric of the network that is kept; None keeps the last one, since a GAN's
            first networks have the best PSNR.
        quantization: See `SuperResolutionTask`.
        ema_decay: Of the generator's average; see `SuperResolutionTask`.
        bias_rate: See `SuperResolutionTask`.
        channels_last: See `SuperResolutionTask`.

    Raises:
        UserError: An option is out of range, or the loss has no adversarial term.
    """

    loss: GeneratorLoss
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
        discriminator: Discriminator,
        discriminator_optimizer: OptimizerFactory,
        discriminator_scheduler: SchedulerFactory,
        monitor: str = "val/psnr",
        discriminator_monitor: str = DISCRIMINATOR_LOSS,
        warmup: float = 0.0,
        d_steps: int = 1,
        g_steps: int = 1,
        accumulate: int = 1,
        r1: float = 0.0,
        r1_every: int = 1,
        gradient_clip: float | None = None,
        best_by: str | None = None,
        quantization: PostTraining | HalfPrecision | NoQuantization | None = None,
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
        if not isinstance(loss, GeneratorLoss):
            raise UserError(
                f"task=gan: {type(loss).__name__} has no adversarial term; use loss=srgan, "
                "loss=esrgan, loss=swift_srgan_paper or loss=swift_srgan_code"
            )
        counts = {"d_steps": d_steps, "g_steps": g_steps, "accumulate": accumulate}
        for name, value in (counts | {"r1_every": r1_every}).items():
            if value < 1:
                raise UserError(f"task.{name}={value} is below 1")
        if not 0 <= warmup < 1:
            raise UserError(f"task.warmup={warmup} is a share of the training, below 1")
        if r1 < 0:
            raise UserError(f"task.r1={r1} is negative; 0 leaves the penalty out")
        if data.batch_size % accumulate:
            raise UserError(
                f"task.accumulate={accumulate} does not divide data.batch_size={data.batch_size}"
            )
        self.automatic_optimization = False
        self.loss = loss
        self.discriminator = discriminator.to(memory_format=self.memory_format)
        self._judging: Callable[[Tensor], Tensor] | None = None
        self.total_steps, self.warmup = total_steps, warmup
        self.d_steps, self.g_steps, self.accumulate = d_steps, g_steps, accumulate
        self.r1, self.r1_every, self.gradient_clip = r1, r1_every, gradient_clip
        self.monitors = (monitor, discriminator_monitor)
        self.makers = (
            (optimizer, scheduler),
            (discriminator_optimizer, discriminator_scheduler),
        )
        self.rivalry = Rivalry()
        self.keeps_newest = best_by is None
        if best_by is not None:
            self.metric = best_by  # type: ignore[misc]
            self.higher_is_better = best_by.endswith(RISING)  # type: ignore[misc]

    @property
    def newest_is_best(self) -> bool:
        """Whether no metric chooses the network."""
        return self.keeps_newest or super().newest_is_best

    def start_quantization(self, mode: QuantizationAware, calibration: Tensor) -> None:
        """As the base.

        Raises:
            UserError: It wants an FP32 twin, which would need a discriminator of its own.
        """
        super().start_quantization(mode, calibration)
        if self.reference is not None and self.reference.trains:
            raise UserError(
                "task=gan trains no FP32 twin for quantization=qat: start from a trained network "
                "with init_from= or an earlier stage, or name quantization.reference=<run folder>"
            )

    def compile_step(self) -> None:
        """Compile both networks; the gradient penalty needs a second derivative and stays plain."""
        super().compile_step()
        self._judging = torch.compile(self.discriminator.forward)

    def judge(self, pictures: Tensor) -> Tensor:
        """Logits of the discriminator, float32 behind whatever layers, of (N, 3, H, W)."""
        run = self._judging or self.discriminator
        logits: Tensor = run(pictures)
        return logits.float()

    def terms(self, low_res: Tensor, high_res: Tensor) -> dict[str, Tensor]:
        """Every term of both networks by name, for preflight.

        Args:
            low_res: (N, 3, H, W) in [0, 1].
            high_res: (N, 3, scale * H, scale * W) in [0, 1].
        """
        prediction = self.predict(low_res)
        judged = self.discriminator_terms(prediction, high_res, penalise=self.r1 > 0)
        return self.generator_terms(prediction, low_res, high_res, adversarial=True) | judged

    def generator_terms(
        self, prediction: Tensor, low_res: Tensor, high_res: Tensor, *, adversarial: bool
    ) -> dict[str, Tensor]:
        """What the generator minimises the sum of; nothing of it reaches the discriminator."""
        terms = loss_terms(self.loss, prediction, high_res, low_res)
        penalty = None if self.quantizer is None else self.quantizer.penalty()
        if penalty is not None:
            terms["sqcl"] = penalty
        weight = self.loss.adversarial_weight
        if adversarial and weight > 0:
            with _frozen(self.discriminator):
                fake = self.judge(prediction)
                with torch.no_grad():
                    real = fake
                    if self.loss.adversarial.relative:
                        real = self.judge(high_res)
            terms["adversarial"] = weight * self.loss.adversarial.generator(real, fake)
        return terms

    def discriminator_terms(
        self, prediction: Tensor, high_res: Tensor, *, penalise: bool
    ) -> dict[str, Tensor]:
        """What the discriminator minimises the sum of; nothing of it reaches the generator."""
        real = self.judge(high_res)
        fake = self.judge(prediction.detach())
        loss = self.loss.adversarial
        terms = loss.discriminator(real, fake)
        if penalise:
            with torch.autocast(high_res.device.type, enabled=False):
                pictures = high_res.detach().requires_grad_()
                penalty = gradient_penalty(self.discriminator(pictures), pictures)
            terms["r1"] = self.r1 * self.r1_every * penalty
        with torch.no_grad():
            judged = self.rivalry.judged(loss.belief(real, fake), loss.belief(fake, real))
        self._log({f"train/discriminator/D_{name}": value for name, value in judged.items()})
        return {f"discriminator/{name}": value for name, value in terms.items()}

    def training_step(self, index: int, batch_idx: int) -> None:
        """At most one step of each network on the batch of this iteration."""
        warming = self._done() < self.warmup
        cycle = max(self.d_steps, self.g_steps)
        turn = self.iteration % cycle
        generates = warming or turn >= cycle - self.g_steps
        discriminates = not warming and turn < self.d_steps
        optimizers = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizers, list)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        low_res, high_res = self.train_batch()
        if len(low_res) % self.accumulate:
            raise UserError(
                f"task.accumulate={self.accumulate} does not divide the {len(low_res)} crops of "
                "each process"
            )
        for low, high in zip(
            low_res.chunk(self.accumulate), high_res.chunk(self.accumulate), strict=True
        ):
            with torch.set_grad_enabled(generates):
                prediction = self.predict(low).float()
            self._log({"train/contrast": self.rivalry.made(prediction.detach(), high)["contrast"]})
            if generates:
                terms = self.generator_terms(prediction, low, high, adversarial=not warming)
                self._backward("train/loss", terms)
            if discriminates:
                penalise = self.r1 > 0 and self.iteration % self.r1_every == 0
                judged = self.discriminator_terms(prediction, high, penalise=penalise)
                self._backward(DISCRIMINATOR_LOSS, judged)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        for optimizer, acts in zip(optimizers, (generates, discriminates), strict=True):
            if acts:
                self._step(optimizer, scaler)
        if scaler is not None:
            scaler.update()

    def _backward(self, name: str, terms: Mapping[str, Tensor]) -> None:
        """Add the gradients of a part of a batch, and log its terms."""
        total = self.total_loss(terms)
        self.manual_backward(total / self.accumulate)
        self._log({name: total.detach()})
        for term, value in terms.items():
            self._log({f"train/loss/{term}": value.detach()})

    def _step(self, optimizer: torch.optim.Optimizer, scaler: Any) -> None:
        """One step on the mean gradient of all processes, unscaled and clipped."""
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        average_gradients(parameters)
        if scaler is not None:
            scaler.unscale_(optimizer)
        if self.gradient_clip is not None:
            clip_grad_norm_(parameters, self.gradient_clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Count the batch, move the average and those schedules that go by the batch."""
        self.iteration += 1
        self.network.after_step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.quantizer is not None:
            self.quantizer.advance(self._done(batch_idx + 1))
        with warnings.catch_warnings():
            # A network that waits for its turn has a schedule all the same, of shares of the
            # training; torch takes that for the wrong order of calls.
            warnings.filterwarnings("ignore", ".*lr_scheduler.step.*before.*optimizer.step")
            for config in self.trainer.lr_scheduler_configs:
                if not isinstance(config.scheduler, ReduceLROnPlateau):
                    config.scheduler.step()

    def on_train_epoch_start(self) -> None:
        """Watch a new epoch."""
        self.rivalry = Rivalry()

    def on_train_epoch_end(self) -> None:
        """Say what collapsed, and show each plateau its own metric."""
        for words in self.rivalry.collapse():
            rank_zero_warn(f"epoch {self.trainer.current_epoch + 1}: {words}")
        seen = self.trainer.callback_metrics
        for config, monitor, key in zip(
            self.trainer.lr_scheduler_configs, self.monitors, MONITORS, strict=True
        ):
            if not isinstance(config.scheduler, ReduceLROnPlateau):
                continue
            if monitor in seen:
                config.scheduler.step(seen[monitor])
            elif config.name == NAMES[0] or DISCRIMINATOR_LOSS in seen:  # no warm-up any more
                known = ", ".join(sorted(name for name in seen if name.startswith(MEASURED)))
                raise UserError(f"task.{key}={monitor} is not measured; known: {known}")

    def configure_optimizers(self) -> Any:
        """Both optimisers and their schedules, in the order of ``NAMES``."""
        groups = (self.parameter_groups(), [{"params": trainable_parameters(self.discriminator)}])
        made = []
        for (make_optimizer, make_scheduler), parameters, name in zip(
            self.makers, groups, NAMES, strict=True
        ):
            optimizer = make_optimizer(parameters)
            for group in optimizer.param_groups:
                group["lr"] *= group.get("rate", 1.0)
            scheduler = make_scheduler(optimizer, total_steps=self.total_steps)
            made.append((optimizer, {"scheduler": scheduler, "name": name}))
        return [optimizer for optimizer, _ in made], [scheduler for _, scheduler in made]

    def _done(self, batches: int = 0) -> float:
        """Share of the stage that is over, ``batches`` into the epoch or where it is now."""
        steps = self.data.steps_per_epoch
        first = self.trainer.current_epoch * steps
        within = batches or self.trainer.fit_loop.epoch_loop.batch_idx
        return (first + within) / self.total_steps

    def _log(self, values: Mapping[str, Tensor | float]) -> None:
        if self._trainer is None:  # preflight
            return
        for name, value in values.items():
            self.log(name, value, on_epoch=True, on_step=False, batch_size=1, sync_dist=True)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Compute no gradients of a network's own parameters."""
    parameters = trainable_parameters(network)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
