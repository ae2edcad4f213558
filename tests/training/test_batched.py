"""Networks that train as one batched network train as they would alone."""

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.losses import Charbonnier
from sr_experiments.models import ABPN, XLSR, SwiftSRGAN
from sr_experiments.training.batched import BatchedAdam, BatchedNetworks

STEPS = 50
RATES = (2e-3, 5e-4, 1e-3)
WEIGHTS = (1.0, 1.0, 0.5)


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


def test_gradients_of_the_first_50_steps_are_those_of_each_network_alone() -> None:
    alone, loss = make_networks(), Charbonnier()
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=rate)
        for network, rate in zip(alone, RATES, strict=True)
    ]
    batched = BatchedNetworks(make_networks(), loss, WEIGHTS)
    adam = BatchedAdam(list(batched.parameters.values()))
    for step in range(STEPS):
        batches = [batch(step, run) for run in range(len(alone))]
        low_res, high_res = (torch.stack(part) for part in zip(*batches, strict=True))
        losses = batched.backward(low_res, high_res)
        for index, (network, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            value = WEIGHTS[index] * loss(network(batches[index][0]), batches[index][1])
            optimizer.zero_grad()
            torch.autograd.backward(value)
            assert losses[index].item() == pytest.approx(value.item(), rel=1e-5)
            for name, parameter in network.named_parameters():
                gradient = batched.parameters[name].grad
                assert gradient is not None
                assert parameter.grad is not None
                assert (gradient[index] - parameter.grad).abs().max() < 1e-5, (step, name)
            optimizer.param_groups[0]["lr"] = RATES[index] * (1 - step / STEPS)
            optimizer.step()
        adam.step(torch.tensor(RATES) * (1 - step / STEPS))
    first, *_, third = batched.unstack()
    assert not torch.equal(next(first.parameters()), next(third.parameters()))
    for network, other in zip(alone, batched.networks, strict=True):
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_networks_that_cannot_be_one_are_refused() -> None:
    with pytest.raises(UserError, match="one architecture"):
        BatchedNetworks([ABPN(channels=4), ABPN(channels=8)], Charbonnier())
    with pytest.raises(UserError, match="running means"):
        BatchedNetworks([SwiftSRGAN()], Charbonnier())
    with pytest.raises(UserError, match="2 weights of the loss for 1 networks"):
        BatchedNetworks([XLSR()], Charbonnier(), [1.0, 2.0])
