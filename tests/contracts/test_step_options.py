"""Each option of an optimiser changes the weights, each of a schedule the learning rates."""

import pytest
import torch
from alternatives import Only, Options, check_every_option, digest, names, options_of, photo, to
from hydra.utils import instantiate
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

STEPS = 20
SHORT = {"betas": [0.5, 0.9]}  # for the denominator to fall
DECAYS = {"weight_decay": 0.1}
OF_OPTIMIZERS = {
    "betas": to([0.8, 0.95]),
    "eps": to(1e-3),
    "amsgrad": to(True, given=SHORT),
    "adabelief.amsgrad": to(True, given={**SHORT, "rectify": False}),
    "weight_decay": to(0.1),
    "decoupled_decay": to(False, given=DECAYS),
    "fixed_decay": to(True, given=DECAYS),
    "fused": Only("speed; the same bits"),
}
OF_SCHEDULERS = {
    "warmup": to(0.2),
    "end": to(1e-5, 2e-5),
    "decay_steps": to(10),
    "staircase": to(True, given={"decay_steps": 10}),
    "lowest": to(5e-4),
    "at_shares": to([0.3]),
    "factors": to([0.5, 0.4, 0.3, 0.2]),
    "every": to(0.3),
    "of": to(2.0),
    "ramps": to("cosine"),
}


def weights(options: Options) -> str:
    """Of a small layer, after some steps towards a photo: first far from it, then near."""
    torch.manual_seed(1)
    low_res, high_res = photo(2, 8)
    layer = nn.Conv2d(3, 12, 3, padding=1)
    optimizer = instantiate(options)(layer.parameters())
    for step in range(16):
        optimizer.zero_grad()
        made = nn.functional.pixel_shuffle(layer(low_res), 2)
        ((made - high_res).square().mean() * (1 if step < 8 else 1e-3)).backward()
        optimizer.step()
    return digest(layer.state_dict())


def rates(options: Options) -> str:
    """The learning rate of each step; a plateau sees a metric that rises, falls and stays."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    schedule = instantiate(options)(optimizer, total_steps=STEPS)
    scores = [1.0, 2.0, 3.0, 2.5, 2.0, 1.5, 1.4, 1.3, 1.2, 1.1] + 15 * [1.0]
    found = []
    for step in range(STEPS if not isinstance(schedule, ReduceLROnPlateau) else len(scores)):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(scores[step]) if isinstance(schedule, ReduceLROnPlateau) else schedule.step()
    return digest(found)


@pytest.mark.parametrize("name", names("optimizer"))
def test_every_option_of_an_optimiser_changes_the_weights(name: str) -> None:
    check_every_option(f"optimizer/{name}", options_of("optimizer", name), OF_OPTIMIZERS, weights)


@pytest.mark.parametrize("name", names("optimizer"))
def test_fused_steps_are_asked_for(name: str) -> None:
    options = options_of("optimizer", name)
    if "fused" not in options:
        pytest.skip("has no such option")
    for fused in (True, False):
        made = instantiate(options | {"fused": fused})([nn.Parameter(torch.ones(1))])
        assert made.param_groups[0]["fused"] is fused


@pytest.mark.parametrize("name", names("scheduler"))
def test_every_option_of_a_schedule_changes_the_rates(name: str) -> None:
    options = options_of("scheduler", name, stale_epochs=3)
    check_every_option(f"scheduler/{name}", options, OF_SCHEDULERS, rates)
