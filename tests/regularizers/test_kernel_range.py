"""The range of kernels as an INT8 file sees them."""

import pytest
import torch
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, RPQ, SCSRN, XLSR, Bicubic, SRModel, collapse
from sr_experiments.models.kernels import trained_kernels
from sr_experiments.regularizers import KernelRange


class TwoKernels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 1)
        self.second = nn.Conv2d(2, 1, 1)
        self.first.weight.data = torch.tensor([-3.0, 1.0]).view(2, 1, 1, 1)
        self.second.weight.data = torch.tensor([0.5, 0.25]).view(1, 2, 1, 1)


@pytest.mark.parametrize(("per_channel", "expected"), [(True, 2 + 0.5), (False, 3 + 0.5)])
def test_it_is_the_sum_over_kernels_of_their_largest_weights(
    per_channel: bool, expected: float
) -> None:
    term = KernelRange(weight=0.1, per_channel=per_channel)
    assert term(TwoKernels()).item() == pytest.approx(0.1 * expected)


@pytest.mark.parametrize(
    "network",
    [ABPN(block="ecb"), RPQ(), SCSRN(), XLSR()],
    ids=lambda network: type(network).__name__,
)
def test_it_sees_what_a_folded_network_holds(network: SRModel) -> None:
    largest = [
        layer.weight.abs().flatten(1).amax(1).mean().item()
        for layer in collapse(network).modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert KernelRange(weight=1.0)(network).item() == pytest.approx(sum(largest), rel=1e-4)


@pytest.mark.parametrize("block", ["conv", "clb_online", "dbb"])
def test_a_step_on_it_makes_every_range_of_a_network_smaller(block: str) -> None:
    torch.manual_seed(0)
    network = ABPN(channels=8, num_blocks=2, block=block)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    term = KernelRange(weight=1.0, per_channel=False)
    before = [kernel.read().abs().max().item() for kernel in trained_kernels(network)]
    term(network).backward()
    optimizer.step()
    after = [kernel.read().abs().max().item() for kernel in trained_kernels(network)]
    assert len(after) == 5
    assert all(now < then for now, then in zip(after, before, strict=True))


def test_mistakes_are_refused_by_key() -> None:
    with pytest.raises(UserError, match=r"task\.regularizers\.kernel_range\.weight=0"):
        KernelRange(weight=0)
    with pytest.raises(UserError, match="Bicubic has no kernel"):
        KernelRange()(Bicubic())
