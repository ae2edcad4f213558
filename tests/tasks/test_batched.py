"""Networks that train as one batched network train as they would alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from sr_experiments.errors import UserError
from sr_experiments.losses import Charbonnier
from sr_experiments.models import ABPN, XLSR, SwiftSRGAN
from sr_experiments.models.classifiers.glasses_cnn import GlassesCNN
from sr_experiments.tasks.batched import BatchedAdam, BatchedNetworks, clipped

RATES = (2e-3, 5e-4, 1e-3)
WEIGHTS = (1.0, 1.0, 0.5)
CLIP = 0.1


def make_networks() -> list[nn.Module]:
    made: list[nn.Module] = []
    for seed in (1, 2, 1):  # the third differs from the first in rate, weight and data
        torch.manual_seed(seed)
        made.append(XLSR(2))
    return made


def batch(step: int, run: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(100 * step + run)
    low_res = torch.rand(2, 3, 8, 8, generator=random)
    return low_res, nn.functional.interpolate(low_res, scale_factor=2.0, mode="nearest")


def groups(network: nn.Module) -> list[dict[str, Any]]:
    """Biases apart, with a tenth of the rate."""
    named = list(network.named_parameters())
    return [
        {"params": [values for name, values in named if name.endswith("bias") == biases]}
        for biases in (False, True)
    ]


def rate(run: int, group: int, step: int) -> float:
    return RATES[run] * (1 - step / 50) * (0.1 if group else 1)


@pytest.mark.parametrize(
    ("kind", "clips", "steps"),
    [
        (Adam, False, 50),
        (lambda parameters: Adam(parameters, betas=(0.8, 0.99), weight_decay=0.01), True, 8),
        (lambda parameters: AdamW(parameters, eps=1e-6, weight_decay=0.1), True, 8),
    ],
    ids=["Adam", "Adam with decay, clipped", "AdamW, clipped"],
)
def test_gradients_of_the_first_steps_are_those_of_each_network_alone(
    kind: Callable[[Any], Optimizer], clips: bool, steps: int
) -> None:
    alone, loss, others = make_networks(), Charbonnier(), make_networks()
    optimizers, batched_ones = (
        [kind(groups(network)) for network in networks] for networks in (alone, others)
    )
    batched = BatchedNetworks(others)
    adam = BatchedAdam(batched, batched_ones)
    rates = [[[rate(run, g, step) for g in (0, 1)] for run in range(3)] for step in range(steps)]
    tables = adam.tables(torch.tensor(rates, dtype=torch.float64))
    for step in range(steps):
        batches = [batch(step, run) for run in range(len(alone))]
        predictions = batched.predict(torch.stack([low_res for low_res, _ in batches]))
        losses = [
            weight * loss(prediction, high_res)
            for weight, prediction, (_, high_res) in zip(WEIGHTS, predictions, batches, strict=True)
        ]
        gradient = batched.gradient(losses)
        for run, (network, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            value = WEIGHTS[run] * loss(network(batches[run][0]), batches[run][1])
            optimizer.zero_grad()
            torch.autograd.backward(value)
            assert losses[run].item() == pytest.approx(value.item(), rel=1e-5)
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None
                other = batched.split(gradient)[run][name]
                assert (other - parameter.grad).abs().max() < 1e-5, (step, name)
            if clips:
                nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            for place, group in enumerate(optimizer.param_groups):
                group["lr"] = rate(run, place, step)
            optimizer.step()
        adam.step(clipped(batched, gradient, CLIP) if clips else gradient, tables[step])
    first, *_, third = batched.unstack()
    adam.unstack(steps)
    assert not torch.equal(next(first.parameters()), next(third.parameters()))
    for run, (network, other) in enumerate(zip(alone, batched.networks, strict=True)):
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
            states = optimizers[run].state[mine], batched_ones[run].state[theirs]
            assert states[0]["step"] == states[1]["step"] == steps
            for key in ("exp_avg", "exp_avg_sq"):
                torch.testing.assert_close(states[0][key], states[1][key], rtol=1e-2, atol=1e-5)


def test_moments_that_the_optimisers_have_are_taken_over() -> None:
    network = nn.Linear(2, 1, bias=False)
    optimizer = Adam(network.parameters(), lr=1.0)
    network.weight.grad = torch.tensor([[1.0, 2.0]])
    optimizer.step()
    adam = BatchedAdam(BatchedNetworks([network]), [optimizer])
    assert adam.first.tolist() == pytest.approx([0.1, 0.2])
    assert adam.second.tolist() == pytest.approx([0.001, 0.004])
    # The second step is corrected by 1 - 0.9^2 and by the root of 1 - 0.999^2.
    size, root, decay = adam.tables(torch.ones(1, 1, 1, dtype=torch.float64))[0].flatten().tolist()
    assert (size, root, decay) == pytest.approx((1 / 0.19, 0.001999**0.5, 0))


def test_networks_that_cannot_be_one_are_refused() -> None:
    with pytest.raises(UserError, match="one architecture"):
        BatchedNetworks([ABPN(channels=4), ABPN(channels=8)])
    with pytest.raises(UserError, match="SwiftSRGAN keeps running means"):
        BatchedNetworks([SwiftSRGAN()])
    with pytest.raises(UserError, match="GlassesCNN drops signals at random"):
        BatchedNetworks([GlassesCNN(batch_norm=False)])
    with pytest.raises(UserError, match="at least one"):
        BatchedNetworks([])


def test_optimisers_that_cannot_be_one_are_refused() -> None:
    networks = [nn.Linear(2, 1), nn.Linear(2, 1)]
    batched = BatchedNetworks(networks)
    one, two = (list(network.parameters()) for network in networks)
    with pytest.raises(UserError, match="not for SGD"):
        BatchedAdam(batched, [SGD(one), SGD(two)])
    with pytest.raises(UserError, match="differ in the learning rate only"):
        BatchedAdam(batched, [Adam(one), AdamW(two)])
    with pytest.raises(UserError, match="not for Adam"):
        BatchedAdam(batched, [Adam(one, amsgrad=True), Adam(two, amsgrad=True)])
    BatchedAdam(batched, [Adam(one, lr=1e-3), Adam(two, lr=1e-4)])
