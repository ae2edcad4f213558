"""GAN training: who moves, when, by which gradient, and what is said when it goes wrong."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.optim import SGD

from sr_experiments.errors import UserError
from sr_experiments.losses import L1, Adversarial
from sr_experiments.models import ABPN, SRResNet
from sr_experiments.models.discriminators import Discriminator, SRGANDiscriminator
from sr_experiments.optim import Constant
from sr_experiments.tasks import GANTask, NonFiniteLossError, gan

Make = Callable[..., GANTask]
Fit = Callable[..., pl.Trainer]
MakeJudge = Callable[..., SRGANDiscriminator]

pytestmark = [
    # Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]


def values(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


@pytest.mark.parametrize(
    ("lr", "moves"), [((0.1, 0.0), (True, False)), ((0.0, 0.1), (False, True))]
)
def test_a_step_of_each_optimiser_changes_its_own_network_only(
    lr: tuple[float, float], moves: tuple[bool, bool], make_gan: Make, fit_gan: Fit
) -> None:
    task = make_gan(lr=lr)
    networks = task.network, task.discriminator
    before = [values(network) for network in networks]
    fit_gan(task, steps=1)
    changed = [
        not torch.equal(values(network), old) for network, old in zip(networks, before, strict=True)
    ]
    assert tuple(changed) == moves


@pytest.mark.parametrize("kind", ["non_saturating", "relativistic_average", "hinge"])
def test_both_steps_are_by_the_gradients_of_one_batch_at_the_networks_before_it(
    kind: str, make_gan: Make, fit_gan: Fit
) -> None:
    task = make_gan(kind, lr=(1.0, 1.0))
    generator, judge = networks = deepcopy(task.network), deepcopy(task.discriminator)
    adversarial = Adversarial(kind)
    for iteration in range(2):
        low_res, high_res = task.data.train_batch(iteration)
        prediction = generator(low_res)
        for_generator = L1()(prediction, high_res) + adversarial.generator(
            judge(high_res).detach(), judge(prediction)
        )
        fake = judge(prediction.detach())
        for_judge = sum(adversarial.discriminator(judge(high_res), fake).values())
        gradients = [
            torch.autograd.grad(loss, [*network.parameters()])
            for network, loss in zip(networks, (for_generator, for_judge), strict=True)
        ]
        with torch.no_grad():
            for network, found in zip(networks, gradients, strict=True):
                for parameter, gradient in zip(network.parameters(), found, strict=True):
                    parameter -= gradient
    fit_gan(task, steps=2)
    for network, wanted in zip((task.network, task.discriminator), networks, strict=True):
        assert torch.allclose(values(network), values(wanted), atol=1e-6)


@pytest.mark.parametrize("r1", [0.0, 0.5])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(
    r1: float, make_gan: Make, fit_gan: Fit
) -> None:
    whole, parts = (make_gan(accumulate=count, r1=r1, lr=(1.0, 1.0)) for count in (1, 4))
    for task in (whole, parts):
        fit_gan(task)
    for name in ("network", "discriminator"):
        a, b = (values(getattr(task, name)) for task in (whole, parts))
        assert torch.allclose(a, b, atol=1e-5), name


def test_cycles_give_each_network_its_number_of_steps(make_gan: Make, fit_gan: Fit) -> None:
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
        task = make_gan(**options)
        task.total_steps = steps
        fit_gan(task, steps=steps, callbacks=[Watch()])
        return list(moved)

    both, first, second = (True, True), (False, True), (True, False)
    assert moves(3) == [both] * 3
    assert moves(6, d_steps=3) == [first, first, both] * 2
    assert moves(4, g_steps=2) == [both, second] * 2
    assert moves(6, warmup=0.5) == [second] * 3 + [both] * 3


def test_warm_up_trains_as_if_there_were_no_discriminator(make_gan: Make, fit_gan: Fit) -> None:
    task, plain = make_gan(warmup=0.9), make_gan(weight=0.0, lr=(0.1, 0.0))
    for one in (task, plain):
        one.total_steps = 2
        fit_gan(one, steps=2)
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


def test_the_scaler_of_fp16_is_updated_once_a_batch_and_clipping_sees_true_gradients(
    make_gan: Make, fit_gan: Fit
) -> None:
    scaler = Counted()
    task = make_gan(lr=(1.0, 1.0), gradient_clip=1e-3)
    before = values(task.network), values(task.discriminator)
    fit_gan(task, steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert scaler.calls == ["unscale", "step", "unscale", "step", "update"]
    after = values(task.network), values(task.discriminator)
    lengths = [(new - old).norm().item() for new, old in zip(after, before, strict=True)]
    assert lengths == pytest.approx([1e-3, 1e-3], rel=0.02)


def test_bf16_takes_nearly_the_step_of_float32(make_gan: Make, fit_gan: Fit) -> None:
    exact, coarse = make_gan(lr=(1.0, 1.0)), make_gan(lr=(1.0, 1.0))
    before = values(exact.network), values(exact.discriminator)
    fit_gan(exact, steps=1)
    fit_gan(coarse, steps=1, precision="bf16-mixed")
    for name, old in zip(("network", "discriminator"), before, strict=True):
        step, near = (values(getattr(task, name)) - old for task in (exact, coarse))
        assert 0 < (near - step).norm() < 0.1 * step.norm()
    assert coarse.waited > 0


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_a_compiled_step_moves_both_networks_as_a_plain_one(
    monkeypatch: pytest.MonkeyPatch, make_gan: Make, fit_gan: Fit
) -> None:
    # Traced and differentiated as for any backend, and then run as it is: no C++ compiler.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = (make_gan(r1=2.0, r1_every=2) for _ in range(2))
    compiled.compile_step()
    fit_gan(plain)
    fit_gan(compiled)
    for name in ("network", "discriminator"):
        ours, expected = (values(getattr(task, name)) for task in (compiled, plain))
        assert torch.allclose(ours, expected, atol=1e-6)


def test_a_scaler_that_overflows_skips_both_steps_and_shrinks(make_gan: Make, fit_gan: Fit) -> None:
    scaler = Counted()
    task = make_gan()
    before = values(task.network)
    task.manual_backward = lambda loss: scaler.scale(loss * math.inf).backward()  # type: ignore
    fit_gan(task, steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
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
    owner: Any,
    method: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    make_gan: Make,
    fit_gan: Fit,
) -> None:
    monkeypatch.setattr(owner, method, broken)
    with pytest.raises(NonFiniteLossError, match=f"{name} became nan at iteration 0"):
        fit_gan(make_gan(r1=1.0))


def test_every_term_and_what_the_discriminator_believes_is_logged(
    make_gan: Make, fit_gan: Fit
) -> None:
    logged = fit_gan(make_gan(r1=0.1, epochs=1)).callback_metrics
    expected = {
        *("train/loss", "train/loss/pixels", "train/loss/adversarial", "train/contrast"),
        *(f"train/loss/discriminator/{name}" for name in ("real", "fake", "r1")),
        *(f"train/discriminator/D_{name}" for name in ("real", "fake", "balance")),
        "train/discriminator/loss",
    }
    assert expected <= logged.keys()
    assert 0 <= logged["train/discriminator/D_balance"] <= 1


def test_a_saturated_discriminator_and_pictures_of_one_colour_are_said(
    make_gan: Make, fit_gan: Fit
) -> None:
    class Sure(Discriminator):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(), 3, 1, 1, 0.2, norm_weights=False)

        def forward(self, pictures: Tensor) -> Tensor:
            spread = pictures.std(dim=(1, 2, 3))[:, None] + 0 * super().forward(pictures)
            return 1000 * (spread - 0.1)

    network = ABPN(2, channels=4, num_blocks=1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    task = make_gan(network=network, discriminator=Sure(), lr=(0.0, 0.0))
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
        fit_gan(task)


def test_what_cannot_train_is_refused_with_the_key(make_gan: Make, make_judge: MakeJudge) -> None:
    for options, words in (
        ({"d_steps": 0}, "task.d_steps=0 is below 1"),
        ({"warmup": 1.0}, "task.warmup=1.0"),
        ({"r1": -1.0}, "task.r1=-1.0 is negative"),
        ({"accumulate": 3}, "task.accumulate=3 does not divide data.batch_size=4"),
    ):
        with pytest.raises(UserError, match=words):
            make_gan(**options)
    with pytest.raises(UserError, match="L1 has no adversarial term; use loss=srgan"):
        GANTask(
            ABPN(2), L1(), make_gan().data, SGD, Constant, total_steps=1,
            discriminator=make_judge(), discriminator_optimizer=SGD,
            discriminator_scheduler=Constant,
        )  # fmt: skip


def test_batch_norm_of_both_networks_trains_and_the_average_moves(
    make_gan: Make,
    fit_gan: Fit,
    make_judge: MakeJudge,
) -> None:
    task = make_gan(
        network=SRResNet(2, channels=4, num_blocks=1),
        discriminator=make_judge(batch_norm=True),
        ema_decay=0.5,
    )
    assert task.average is not None
    before = values(task.average.module)
    fit_gan(task)
    assert not torch.equal(values(task.average.module), before)
    assert task.newest_is_best
    assert not make_gan(best_by="val/psnr").newest_is_best
