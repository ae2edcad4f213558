"""Adversarial trainings of a second: batches of noise, a generator and a judge of a few weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from sr_experiments.data import SRData
from sr_experiments.losses import L1, Adversarial, GeneratorLoss
from sr_experiments.models import ABPN
from sr_experiments.models.discriminators import Discriminator, SRGANDiscriminator
from sr_experiments.optim import Constant
from sr_experiments.tasks import GANTask

STEPS = 3


class Noise(SRData):
    """Batches of noise that are a pure function of the iteration, and one noisy picture."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__(
            [], [], [], 2, batch_size=batch_size, patch=8, steps_per_epoch=STEPS, intensity=[1.0]
        )

    def train_batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(iteration)
        high_res = torch.rand(self.batch_size, 3, 16, 16, generator=random)
        return nn.functional.avg_pool2d(high_res, 2), high_res

    def val_pairs(self) -> list[tuple[str, Tensor, Tensor]]:
        random = torch.Generator().manual_seed(0)
        high_res = torch.randint(256, (3, 32, 32), generator=random, dtype=torch.uint8)
        return [("noise", high_res[:, ::2, ::2].contiguous(), high_res)]


def _critic(**options: Any) -> SRGANDiscriminator:
    torch.manual_seed(1)
    return SRGANDiscriminator(width=0.0625, pool=1, hidden=4, **({"batch_norm": False} | options))


def _make(
    kind: str = "non_saturating",
    lr: tuple[float, float] = (0.1, 0.1),
    *,
    weight: float = 1.0,
    network: Any = None,
    discriminator: Discriminator | None = None,
    schedules: tuple[Any, Any] = (Constant, Constant),
    batch_size: int = 4,
    epochs: int = 1,
    **options: Any,
) -> GANTask:
    torch.manual_seed(0)
    network = network or ABPN(2, channels=4, num_blocks=1)
    loss = GeneratorLoss(
        {"pixels": {"weight": 1.0, "loss": L1()}},
        {"weight": weight, "loss": Adversarial(kind)},
    )
    optimizers = [partial(SGD, lr=rate) for rate in lr]
    return GANTask(
        network,
        loss,
        Noise(batch_size),
        optimizers[0],
        schedules[0],
        total_steps=epochs * STEPS,
        discriminator=discriminator or _critic(),
        discriminator_optimizer=optimizers[1],
        discriminator_scheduler=schedules[1],
        **options,
    )


def _fit(
    task: GANTask,
    epochs: int = 1,
    steps: int = STEPS,
    *,
    resume: Path | None = None,
    **options: Any,
) -> pl.Trainer:
    task.data.steps_per_epoch = steps
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing="callbacks" in options,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(task, ckpt_path=None if resume is None else str(resume), weights_only=True)
    return trainer


@pytest.fixture
def make_gan() -> Callable[..., GANTask]:
    """A task on `Noise`, with plain gradient descent, a constant rate and one epoch at first."""
    return _make


@pytest.fixture
def fit_gan() -> Callable[..., pl.Trainer]:
    """Train a task on the CPU."""
    return _fit


@pytest.fixture
def make_judge() -> Callable[..., SRGANDiscriminator]:
    """A small discriminator, without batch norm at first."""
    return _critic
