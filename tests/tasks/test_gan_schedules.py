"""Schedules of GAN training: each steps when it should, and a taken up run has the same ones."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from sr_experiments.callbacks import Checkpoints
from sr_experiments.errors import UserError
from sr_experiments.models import SRResNet
from sr_experiments.models.discriminators import SRGANDiscriminator
from sr_experiments.optim import Constant, Plateau, Step
from sr_experiments.tasks import GANTask

Make = Callable[..., GANTask]
Fit = Callable[..., pl.Trainer]
MakeJudge = Callable[..., SRGANDiscriminator]

pytestmark = [
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]


LARGE = 3.0  # rate at which a discriminator soon gets worse


class Falling(pl.Callback):
    """Gives both plateaus a metric that never gets better, and notes what they are after it."""

    def __init__(self) -> None:
        self.seen: list[list[tuple[float, int, int]]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, task: Any) -> None:
        state = [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs]
        rates = [config.scheduler.optimizer.param_groups[0]["lr"] for config in configs(trainer)]
        self.seen.append(
            [
                (rate, one["last_epoch"], one["num_bad_epochs"])
                for rate, one in zip(rates, state, strict=True)
            ]
        )

    def on_validation_epoch_end(self, trainer: pl.Trainer, task: Any) -> None:
        task.log("val/falling", -float(trainer.current_epoch))


def configs(trainer: pl.Trainer) -> list[Any]:
    return list(trainer.lr_scheduler_configs)


def waiting(stale_epochs: int) -> Callable[..., Plateau]:
    return partial(Plateau, stale_epochs=stale_epochs)


def test_each_plateau_is_shown_its_own_metric_once_an_epoch(make_gan: Make, fit_gan: Fit) -> None:
    watch = Falling()
    task = make_gan(
        lr=(0.8, 0.4),
        schedules=(waiting(1), waiting(2)),
        monitor="val/falling",
        discriminator_monitor="val/psnr",
        epochs=4,
    )
    fit_gan(task, epochs=4, callbacks=[watch])
    assert [first for first, _ in watch.seen] == [
        (0.8, 0, 0),
        (0.8, 1, 0),
        (0.4, 2, 0),
        (0.2, 3, 0),
    ]
    assert [second[1] for _, second in watch.seen] == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"task.monitor=val/nothing is not measured.*val/psnr"):
        fit_gan(make_gan(schedules=(waiting(1), waiting(1)), monitor="val/nothing"))
    both = (waiting(1), waiting(1))
    with pytest.raises(UserError, match=r"task.discriminator_monitor=D is .* train/discriminator/"):
        fit_gan(make_gan(schedules=both, discriminator_monitor="D"))


def test_a_plateau_of_the_discriminator_waits_while_the_generator_warms_up(
    make_gan: Make, fit_gan: Fit
) -> None:
    task = make_gan(schedules=(Constant, partial(Plateau, higher_is_better=False)), warmup=0.9)
    trainer = fit_gan(task)
    assert configs(trainer)[1].scheduler.last_epoch == 0


class Rates(pl.Callback):
    """Notes the learning rates that each batch is trained with."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, ...]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        optimizers = [config.scheduler.optimizer for config in configs(trainer)]
        self.seen.append(tuple(one.param_groups[0]["lr"] for one in optimizers))


def test_a_schedule_by_the_batch_is_stepped_once_a_batch(make_gan: Make, fit_gan: Fit) -> None:
    halving, rates = partial(Step, every=1, of=6), Rates()
    fit_gan(make_gan(lr=(0.8, 0.4), schedules=(halving, Constant), epochs=2), 2, callbacks=[rates])
    expected = [(0.8, 0.4), (0.4, 0.4), (0.2, 0.4), (0.1, 0.4), (0.05, 0.4), (0.025, 0.4)]
    assert rates.seen == [pytest.approx(pair) for pair in expected]


def test_a_run_taken_up_just_before_a_reduction_ends_with_the_same_numbers(
    tmp_path: Path,
    make_gan: Make,
    fit_gan: Fit,
    make_judge: MakeJudge,
) -> None:
    def run(folder: str, epochs: int, resume: Path | None = None) -> tuple[GANTask, pl.Trainer]:
        torch.manual_seed(2)
        task = make_gan(
            network=SRResNet(2, channels=4, num_blocks=1),
            discriminator=make_judge(batch_norm=True),
            schedules=(waiting(2), waiting(3)),
            monitor="val/falling",
            discriminator_monitor="val/falling",
            ema_decay=0.9,
            epochs=5,
        )
        task.makers = tuple(  # type: ignore[assignment]
            (partial(torch.optim.AdamW, lr=rate), schedule)
            for rate, (_, schedule) in zip((1e-2, 3e-3), task.makers, strict=True)
        )
        where = tmp_path / folder
        where.mkdir(exist_ok=True)
        checkpoints = Checkpoints(where / "last.ckpt", where / "best.ckpt")
        return task, fit_gan(task, epochs, callbacks=[Falling(), checkpoints], resume=resume)

    whole, first = run("whole", 5)
    run("killed", 2)  # one stale epoch short of the first reduction
    again, second = run("killed", 5, tmp_path / "killed" / "last.ckpt")
    for one, other in zip(configs(first), configs(second), strict=True):
        assert one.scheduler.state_dict() == other.scheduler.state_dict()
        assert one.scheduler.optimizer.param_groups[0]["lr"] < 1e-2
    assert [config.scheduler.get_last_lr()[0] for config in configs(second)] == [2.5e-3, 1.5e-3]
    assert again.iteration == whole.iteration == 15
    state, expected = again.state_dict(), whole.state_dict()
    different = [name for name in expected if not torch.equal(state[name], expected[name])]
    assert different == []


def test_the_discriminators_plateau_falls_by_its_own_loss_and_so_it_does_after_a_kill(
    tmp_path: Path, make_gan: Make, fit_gan: Fit
) -> None:
    def run(folder: str, epochs: int, resume: Path | None = None) -> tuple[list[float], Rates]:
        impatient = partial(Plateau, stale_epochs=1, higher_is_better=False)
        task = make_gan(schedules=(Constant, impatient), lr=(0.1, LARGE), epochs=6)
        losses, judge = [], task.discriminator_terms

        def noted(*words: Any, **options: Any) -> dict[str, torch.Tensor]:
            terms = judge(*words, **options)
            losses.append(sum(value.item() for value in terms.values()))
            return terms

        task.discriminator_terms = noted  # type: ignore[method-assign]
        where = tmp_path / folder
        where.mkdir(exist_ok=True)
        rates, checkpoints = Rates(), Checkpoints(where / "last.ckpt", where / "best.ckpt")
        fit_gan(task, epochs, callbacks=[rates, checkpoints], resume=resume)
        return [sum(losses[at : at + 3]) / 3 for at in range(0, len(losses), 3)], rates

    losses, rates = run("whole", 6)
    run("killed", 3)
    again, later = run("killed", 6, tmp_path / "killed" / "last.ckpt")
    best, rate, expected = math.inf, LARGE, []
    for loss in losses:
        expected += 3 * [rate]  # of the epoch that had this loss
        best, rate = (loss, rate) if loss < best else (best, rate / 2)
    assert [second for _, second in rates.seen] == expected
    falls = [epoch for epoch in range(1, 6) if expected[3 * epoch] < expected[3 * epoch - 1]]
    assert falls[0] < 3 <= falls[-1]  # before the kill and after it
    assert (again, later.seen) == (losses[3:], rates.seen[9:])
