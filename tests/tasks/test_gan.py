"""GAN training: who moves, when, by which gradient, and what is said when it goes wrong."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.optim import SGD

from sr_experiments.callbacks import Checkpoints
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import L1, Adversarial, GeneratorLoss
from sr_experiments.models import ABPN, SRResNet
from sr_experiments.models.discriminators import Discriminator, SRGANDiscriminator
from sr_experiments.optim import Constant, Plateau, Step
from sr_experiments.tasks import GANTask, NonFiniteLossError, gan

pytestmark = [
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

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


def critic(**options: Any) -> SRGANDiscriminator:
    torch.manual_seed(1)
    return SRGANDiscriminator(width=0.0625, pool=1, hidden=4, **({"batch_norm": False} | options))


def make(
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
        discriminator=discriminator or critic(),
        discriminator_optimizer=optimizers[1],
        discriminator_scheduler=schedules[1],
        **options,
    )


def fit(
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


def values(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


@pytest.mark.parametrize(
    ("lr", "moves"), [((0.1, 0.0), (True, False)), ((0.0, 0.1), (False, True))]
)
def test_a_step_of_each_optimiser_changes_its_own_network_only(
    lr: tuple[float, float], moves: tuple[bool, bool]
) -> None:
    task = make(lr=lr)
    networks = task.network, task.discriminator
    before = [values(network) for network in networks]
    fit(task, steps=1)
    changed = [
        not torch.equal(values(network), old) for network, old in zip(networks, before, strict=True)
    ]
    assert tuple(changed) == moves


@pytest.mark.parametrize("kind", ["non_saturating", "relativistic_average", "hinge"])
def test_both_gradients_are_those_of_the_networks_before_the_step(kind: str) -> None:
    task = make(kind, lr=(1.0, 1.0))
    generator, judge = task.network, task.discriminator
    low_res, high_res = task.data.train_batch(0)
    prediction = generator(low_res)
    adversarial = Adversarial(kind)
    for_generator = L1()(prediction, high_res) + adversarial.generator(
        judge(high_res).detach(), judge(prediction)
    )
    fake = judge(prediction.detach())
    for_judge = sum(adversarial.discriminator(judge(high_res), fake).values())
    expected = [
        values(network)
        - torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*network.parameters()])])
        for network, loss in ((generator, for_generator), (judge, for_judge))
    ]
    fit(task, steps=1)
    for network, wanted in zip((generator, judge), expected, strict=True):
        assert torch.allclose(values(network), wanted, atol=1e-6)


@pytest.mark.parametrize("r1", [0.0, 0.5])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(r1: float) -> None:
    whole, parts = (make(accumulate=count, r1=r1, lr=(1.0, 1.0)) for count in (1, 4))
    for task in (whole, parts):
        fit(task)
    for name in ("network", "discriminator"):
        a, b = (values(getattr(task, name)) for task in (whole, parts))
        assert torch.allclose(a, b, atol=1e-5), name


def test_cycles_give_each_network_its_number_of_steps() -> None:
    moved: list[tuple[bool, bool]] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, task: Any, *_: Any) -> None:
            self.before = values(task.network), values(task.discriminator)

        def on_train_batch_end(self, trainer: Any, task: Any, *_: Any) -> None:
            now = values(task.network), values(task.discriminator)
            changed = [not torch.equal(a, b) for a, b in zip(now, self.before, strict=True)]
            moved.append((changed[0], changed[1]))

    def moves(steps: int, **options: Any) -> list[tuple[bool, bool]]:
        moved.clear()
        task = make(**options)
        task.total_steps = steps
        fit(task, steps=steps, callbacks=[Watch()])
        return list(moved)

    both, first, second = (True, True), (False, True), (True, False)
    assert moves(3) == [both] * 3
    assert moves(6, d_steps=3) == [first, first, both] * 2
    assert moves(4, g_steps=2) == [both, second] * 2
    assert moves(6, warmup=0.5) == [second] * 3 + [both] * 3


def test_warm_up_trains_as_if_there_were_no_discriminator() -> None:
    task, plain = make(warmup=0.9), make(weight=0.0, lr=(0.1, 0.0))
    for one in (task, plain):
        one.total_steps = 2
        fit(one, steps=2)
    assert torch.equal(values(task.network), values(plain.network))


class Counted(torch.amp.GradScaler):
    """Counts what is done to it."""

    def __init__(self) -> None:
        super().__init__("cpu", init_scale=2.0**10)
        self.calls: list[str] = []

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("step")
        return super().step(optimizer, *args, **kwargs)

    def unscale_(self, optimizer: Any) -> None:
        self.calls.append("unscale")
        super().unscale_(optimizer)

    def update(self, new_scale: Any = None) -> None:
        self.calls.append("update")
        super().update(new_scale)


def test_the_scaler_of_fp16_is_updated_once_a_batch_and_clipping_sees_true_gradients() -> None:
    scaler = Counted()
    task = make(lr=(1.0, 1.0), gradient_clip=1e-3)
    before = values(task.network), values(task.discriminator)
    fit(task, steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert scaler.calls == ["unscale", "step", "unscale", "step", "update"]
    after = values(task.network), values(task.discriminator)
    lengths = [(new - old).norm().item() for new, old in zip(after, before, strict=True)]
    assert lengths == pytest.approx([1e-3, 1e-3], rel=0.02)


def test_bf16_takes_nearly_the_step_of_float32() -> None:
    exact, coarse = make(lr=(1.0, 1.0)), make(lr=(1.0, 1.0))
    before = values(exact.network), values(exact.discriminator)
    fit(exact, steps=1)
    fit(coarse, steps=1, precision="bf16-mixed")
    for name, old in zip(("network", "discriminator"), before, strict=True):
        step, near = (values(getattr(task, name)) - old for task in (exact, coarse))
        assert 0 < (near - step).norm() < 0.1 * step.norm()


def test_a_scaler_that_overflows_skips_both_steps_and_shrinks() -> None:
    scaler = Counted()
    task = make()
    before = values(task.network)
    task.manual_backward = lambda loss: scaler.scale(loss * math.inf).backward()  # type: ignore
    fit(task, steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert torch.equal(values(task.network), before)
    assert scaler.get_scale() == 2.0**9


def broken(*_: Any) -> Tensor:
    return torch.tensor(math.nan, requires_grad=True)


@pytest.mark.parametrize(
    ("owner", "method", "name"),
    [
        (Adversarial, "generator", "adversarial"),
        (L1, "forward", "pixels"),
        (gan, "gradient_penalty", "discriminator/r1"),
    ],
)
def test_a_term_that_is_not_a_number_is_named_with_its_iteration(
    owner: Any, method: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, broken)
    with pytest.raises(NonFiniteLossError, match=f"{name} became nan at iteration 0"):
        fit(make(r1=1.0))


def test_every_term_and_what_the_discriminator_believes_is_logged() -> None:
    logged = fit(make(r1=0.1, epochs=1)).callback_metrics
    expected = {
        *("train/loss", "train/loss/pixels", "train/loss/adversarial", "train/contrast"),
        *(f"train/loss/discriminator/{name}" for name in ("real", "fake", "r1")),
        *(f"train/discriminator/D_{name}" for name in ("real", "fake", "balance")),
        "train/discriminator/loss",
    }
    assert expected <= logged.keys()
    assert 0 <= logged["train/discriminator/D_balance"] <= 1


def test_a_saturated_discriminator_and_pictures_of_one_colour_are_said() -> None:
    class Sure(Discriminator):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(), 3, 1, 1, 0.2, norm_weights=False)

        def forward(self, pictures: Tensor) -> Tensor:
            spread = pictures.std(dim=(1, 2, 3))[:, None] + 0 * super().forward(pictures)
            return 1000 * (spread - 0.1)

    network = ABPN(2, channels=4, num_blocks=1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    task = make(network=network, discriminator=Sure(), lr=(0.0, 0.0))
    task.network.forward = lambda low_res: (
        nn.functional.interpolate(  # type: ignore[method-assign]
            0.5 + 0 * low_res, scale_factor=2
        )
        + 0 * next(task.network.parameters()).sum()
    )
    saturated = r"discriminator is saturated: D\(real\)=1.000, D\(fake\)=0.000"
    with (
        pytest.warns(UserWarning, match=saturated),
        pytest.warns(UserWarning, match="nearly of one colour"),
    ):
        fit(task)


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


def test_each_plateau_is_shown_its_own_metric_once_an_epoch() -> None:
    watch = Falling()
    task = make(
        lr=(0.8, 0.4),
        schedules=(waiting(1), waiting(2)),
        monitor="val/falling",
        discriminator_monitor="val/psnr",
        epochs=4,
    )
    fit(task, epochs=4, callbacks=[watch])
    assert [first for first, _ in watch.seen] == [
        (0.8, 0, 0),
        (0.8, 1, 0),
        (0.4, 2, 0),
        (0.2, 3, 0),
    ]
    assert [second[1] for _, second in watch.seen] == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"task.monitor=val/nothing is not measured.*val/psnr"):
        fit(make(schedules=(waiting(1), waiting(1)), monitor="val/nothing"))


def test_a_plateau_of_the_discriminator_waits_while_the_generator_warms_up() -> None:
    task = make(schedules=(Constant, partial(Plateau, higher_is_better=False)), warmup=0.9)
    trainer = fit(task)
    assert configs(trainer)[1].scheduler.last_epoch == 0


def test_a_schedule_by_the_batch_is_stepped_by_the_batch_and_not_twice() -> None:
    halving = partial(Step, every=1, of=3)
    trainer = fit(make(lr=(0.8, 0.4), schedules=(halving, Constant), epochs=1))
    rates = [config.scheduler.get_last_lr()[0] for config in configs(trainer)]
    assert rates == [0.2, 0.4]


def test_what_cannot_train_is_refused_with_the_key() -> None:
    for options, words in (
        ({"d_steps": 0}, "task.d_steps=0 is below 1"),
        ({"warmup": 1.0}, "task.warmup=1.0"),
        ({"r1": -1.0}, "task.r1=-1.0 is negative"),
        ({"accumulate": 3}, "task.accumulate=3 does not divide data.batch_size=4"),
    ):
        with pytest.raises(UserError, match=words):
            make(**options)
    with pytest.raises(UserError, match="L1 has no adversarial term; use loss=srgan"):
        GANTask(
            ABPN(2), L1(), Noise(), SGD, Constant, total_steps=1, discriminator=critic(),
            discriminator_optimizer=SGD, discriminator_scheduler=Constant,
        )  # fmt: skip


def test_batch_norm_of_both_networks_trains_and_the_average_moves() -> None:
    task = make(
        network=SRResNet(2, channels=4, num_blocks=1),
        discriminator=critic(batch_norm=True),
        ema_decay=0.5,
    )
    assert task.average is not None
    before = values(task.average.module)
    fit(task)
    assert not torch.equal(values(task.average.module), before)
    assert task.newest_is_best
    assert not make(best_by="val/psnr").newest_is_best


def test_a_run_taken_up_just_before_a_reduction_ends_with_the_same_numbers(tmp_path: Path) -> None:
    def run(folder: str, epochs: int, resume: Path | None = None) -> tuple[GANTask, pl.Trainer]:
        torch.manual_seed(2)
        task = make(
            network=SRResNet(2, channels=4, num_blocks=1),
            discriminator=critic(batch_norm=True),
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
        return task, fit(task, epochs, callbacks=[Falling(), checkpoints], resume=resume)

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
