"""Every optimiser of conf/optimizer against its published formula, in numpy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.optim import NAdaBelief

Array = NDArray[np.float64]

CONF = Path(__file__).resolve().parents[2] / "conf" / "optimizer"
START = np.array([1.0, -2.0, 0.5])
GRADIENTS = np.array(
    [[0.1, -2.0, 0.3], [0.2, -2.1, -0.4], [0.15, -1.9, 0.5], [0.1, -2, 0], [0, 1, 2], [1, 2, 3]]
)


def train(option: str, gradients: Array, *, resume_at: int | None = None, **options: Any) -> Array:
    """Weights after one step per gradient with the optimiser that the YAML describes."""
    make = instantiate(OmegaConf.merge(OmegaConf.load(CONF / f"{option}.yaml"), options))
    weight = nn.Parameter(torch.from_numpy(START.copy()))
    optimizer = make([weight])
    for step, gradient in enumerate(gradients):
        if step == resume_at:
            fresh = make([weight])
            fresh.load_state_dict(optimizer.state_dict())
            optimizer = fresh
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return weight.detach().numpy()


def adam(gradients: Array, lr: float, amsgrad: bool = False, decay: float = 0.0) -> Array:
    """Kingma and Ba (2015), algorithm 1; Reddi et al. (2018) with ``amsgrad``."""
    weight, m, v, largest = START.copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, 1):
        weight *= 1 - lr * decay
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v) if amsgrad else v
        step = m / (1 - 0.9**t) / (np.sqrt(largest / (1 - 0.999**t)) + 1e-8)
        weight = weight - lr * step
    return weight


def adabelief(gradients: Array, lr: float, eps: float) -> Array:
    """Zhuang et al. (2020), algorithm 2, without rectification."""
    weight, m, s = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * g
        s = 0.999 * s + 0.001 * (g - m) ** 2 + eps
        weight = weight - lr * m / (1 - 0.9**t) / (np.sqrt(s / (1 - 0.999**t)) + eps)
    return weight


def nadabelief(gradients: Array, lr: float) -> Array:
    """Keras' Nadam with the squared deviation in place of the squared gradient."""
    weight, m, s, product = START.copy(), np.zeros(3), np.zeros(3), 1.0
    for t, g in enumerate(gradients, 1):
        mu, following = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * u)) for u in (t, t + 1))
        product *= mu
        m = 0.9 * m + 0.1 * g
        s = 0.999 * s + 0.001 * (g - m) ** 2
        ahead = (1 - mu) * g / (1 - product) + following * m / (1 - product * following)
        weight = weight - lr * ahead / (np.sqrt(s / (1 - 0.999**t)) + 1e-7)
    return weight


def momentum(gradients: Array, lr: float) -> Array:
    weight, velocity = START.copy(), np.zeros(3)
    for g in gradients:
        velocity = 0.9 * velocity + g
        weight = weight - lr * velocity
    return weight


@pytest.mark.parametrize(
    ("option", "options", "reference"),
    [
        ("adam", {}, lambda g: adam(g, 1e-3)),
        ("adam", {"amsgrad": True}, lambda g: adam(g, 1e-3, amsgrad=True)),
        ("adamw", {}, lambda g: adam(g, 1e-3, decay=0.01)),
        ("sgd", {}, lambda g: momentum(g, 1e-2)),
        ("adabelief", {"rectify": False}, lambda g: adabelief(g, 1e-3, 1e-16)),
        ("nadabelief", {}, lambda g: nadabelief(g, 1e-3)),
        ("nadabelief", {"lr": 1e-4}, lambda g: nadabelief(g, 1e-4)),
    ],
)
def test_optimiser_follows_its_formula(
    option: str, options: dict[str, Any], reference: Callable[[Array], Array]
) -> None:
    for steps in (1, 3, 6):
        trained = train(option, GRADIENTS[:steps], **options)
        assert trained == pytest.approx(reference(GRADIENTS[:steps]), rel=0, abs=1e-9)


def test_amsgrad_matters_only_after_gradients_have_shrunk() -> None:
    shrinking = np.array([[10.0, 1.0, 1.0], [0.1, 1.0, 2.0], [0.1, 1.0, 3.0]])
    plain, kept = (train("adam", shrinking, amsgrad=value) for value in (False, True))
    assert kept[0] != plain[0]
    assert kept[2] == plain[2]


def test_nadabelief_strides_where_gradients_agree() -> None:
    agreeing, quarrelling = np.full((50, 3), 1.0), np.full((50, 3), 1.0)
    quarrelling[::2] = -1.0
    moved = [np.abs(train("nadabelief", g) - START).max() for g in (agreeing, quarrelling)]
    assert moved[0] > 5 * moved[1]


def test_adabelief_refuses_the_largest_denominator_where_steps_are_rectified() -> None:
    with pytest.raises(UserError, match=r"add optimizer\.rectify=false"):
        train("adabelief", GRADIENTS, amsgrad=True)
    train("adabelief", GRADIENTS, amsgrad=True, rectify=False)


def test_rectified_adabelief_begins_as_plain_momentum() -> None:
    # RAdam's rule: no denominator while fewer than 5 effective samples have been averaged.
    m, weight = np.zeros(3), START.copy()
    for t, g in enumerate(GRADIENTS[:3], 1):
        m = 0.9 * m + 0.1 * g
        weight = weight - 1e-3 * m / (1 - 0.9**t)
    assert train("adabelief", GRADIENTS[:3]) == pytest.approx(weight, rel=0, abs=1e-12)


@pytest.mark.parametrize("option", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_resumed_optimiser_goes_on_to_the_same_bits(option: str) -> None:
    whole = train(option, GRADIENTS)
    assert np.array_equal(train(option, GRADIENTS, resume_at=3), whole)
    assert not np.array_equal(whole, START)


def test_nadabelief_leaves_what_has_no_gradient_and_runs_its_closure() -> None:
    moved, still = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = NAdaBelief([moved, still])

    def closure() -> float:
        loss = moved.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2
    assert bool((moved < 1).all())
    assert bool((still == 1).all())


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"eps": -1.0}, {"betas": (0.9, 1.0)}])
def test_nadabelief_refuses_impossible_options_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"optimizer.{next(iter(options))}"):
        NAdaBelief([nn.Parameter(torch.ones(1))], **options)
