"""What the rankers minimise, what they decide, and what goes."""

import math

import pytest
import torch
from torch import nn

from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, RPQ, PureConvSR, SRModel, collapse
from sr_experiments.pruning import ChannelRanking, Weights, pruned_twin, wiring
from sr_experiments.pruning.ranker import Ranker
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace


def ranking(network: SRModel, **options: float) -> ChannelRanking:
    return ChannelRanking(network, 100, 0.5, Weights(1.0, 1.0, 1.0), **options)  # type: ignore[arg-type]


def set_logits(ranker: nn.Module, logits: list[float]) -> None:
    assert isinstance(ranker, Ranker)
    nn.init.zeros_(ranker.second.weight)
    assert ranker.second.bias is not None
    ranker.second.bias.data = (torch.tensor(logits) - 3) / ranker.gain


def chain() -> ABPN:
    """3 to 4 to 2 to 12 sub-pixels of x2."""
    torch.manual_seed(0)
    return ABPN(scale=2, channels=[4, 2], num_blocks=1, tail=False)


def test_fresh_channels_stay_with_95_percent() -> None:
    rankers = ranking(chain())
    for logits in rankers.logits().values():
        assert logits.sigmoid().tolist() == pytest.approx([0.953] * len(logits), abs=1e-3)
    assert rankers.share() == 1


def test_terms_by_hand() -> None:
    network = chain()
    rankers = ranking(network, annealing=0.5)
    assert list(rankers.logits()) == ["body.0", "body.2"]
    set_logits(rankers.rankers[0], [4.0, 4.0, 4.0, -4.0])
    set_logits(rankers.rankers[1], [4.0, 0.0])
    network.train()
    network(torch.rand(1, 3, 8, 8))
    terms = rankers.terms()
    assert terms["ranker/entropy"] == terms["ranker/cost"] == 0  # nothing counts at the start
    for _ in range(100):
        rankers.advance()
    network(torch.rand(1, 3, 8, 8))
    terms = rankers.terms()
    yes, no = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))
    entropy = (5 * -(yes * math.log(yes) + no * math.log(no)) + math.log(2)) / 6
    assert terms["ranker/entropy"].item() == pytest.approx(0.9 * (entropy - 0.01), rel=1e-5)
    first, second = 3 * yes + no, yes + 0.5
    weights = 9 * (3 * first + first * second + second * 12)
    whole = 9 * (3 * 4 + 4 * 2 + 2 * 12)
    cost = 0.99 * (weights / (0.5 * whole) - 1)
    assert terms["ranker/cost"].item() == pytest.approx(cost, rel=1e-5)
    assert 0 < terms["ranker/noise"].item() < 1
    rankers.target = 0.9
    network(torch.rand(1, 3, 8, 8))
    missing = 0.99 * (1 - weights / (0.9 * whole))
    assert rankers.terms()["ranker/cost"].item() == pytest.approx(missing, rel=1e-5)


def test_a_mask_is_the_decision_when_nothing_trains() -> None:
    network = chain().eval()
    low_res = torch.rand(1, 3, 8, 8)
    whole = network(low_res)
    rankers = ranking(network)
    assert torch.equal(network(low_res), whole)
    set_logits(rankers.rankers[0], [4.0, -0.1, 0.1, -4.0])
    set_logits(rankers.rankers[1], [-3.0, -0.5])  # all would go: the best stays
    assert [keep.tolist() for keep in rankers.keep().values()] == [
        [True, False, True, False],
        [False, True],
    ]
    assert rankers.share() == pytest.approx((3 * 2 + 2 * 1 + 1 * 12) / (3 * 4 + 4 * 2 + 2 * 12))
    masked = network(low_res)
    assert not torch.allclose(masked, whole)
    twin = rankers.twin(network)
    assert torch.allclose(twin(low_res), masked, atol=1e-6)
    assert twin is rankers.twin(network)  # the same until the next step
    rankers.advance()
    assert twin is not rankers.twin(network)


def test_masks_in_training_are_soft_and_spare_as_many_as_the_average_is_kept() -> None:
    torch.manual_seed(0)
    network = ABPN(scale=2, channels=64, num_blocks=1, tail=False)
    rankers = ranking(network)
    set_logits(rankers.rankers[0], [0.0] * 64)
    masks = []
    network.body[1].register_forward_hook(lambda _, inputs, __: masks.append(inputs[0]))
    network.train()
    plain = torch.nn.functional.conv2d(
        low_res := torch.rand(1, 3, 8, 8), network.body[0].weight, network.body[0].bias, padding=1
    )
    for _ in range(20):
        network(low_res)
    mask = torch.stack([(masked / plain).mean(dim=(0, 2, 3)) for masked in masks])
    assert mask.min() > -1e-4
    assert mask.max() < 1 + 1e-4
    ones = (mask > 1 - 1e-4).float().mean().item()
    assert ones == pytest.approx(0.5, abs=0.06)  # one in two is spared
    assert mask[mask < 1 - 1e-4].mean().item() == pytest.approx(0.5, abs=0.06)


def test_channels_that_nobody_reads_go_and_others_stay() -> None:
    torch.manual_seed(0)
    network = ABPN(scale=2, channels=8, num_blocks=1, tail=False)
    with torch.no_grad():  # half of the first features, and half of the second, lead nowhere
        network.body[2].weight[:, ::2] = 0
        network.tail.weight[:, 1::2] = 0
        network.tail.weight.mul_(5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    teacher = collapse(network)
    rankers = ChannelRanking(network, 150, 0.3, Weights())
    optimizer = torch.optim.Adam(rankers.parameters(), lr=1e-3)
    network.train()
    for _ in range(150):
        low_res = torch.rand(2, 3, 12, 12)
        loss = (network(low_res) - teacher(low_res)).abs().mean()
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack([loss, *rankers.terms().values()]).sum())
        optimizer.step()
        rankers.advance()
    first, second = rankers.keep().values()
    assert first.tolist() == [False, True] * 4
    assert not second[1::2].any()
    assert second.any()
    assert 0.2 < rankers.share() < 0.34
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    "network",
    [RPQ(channels=48), ABPN(), ABPN(channels=12)],
    ids=lambda network: type(network).__name__,
)
def test_the_int8_file_shrinks_by_what_the_channels_weigh(network: SRModel) -> None:
    torch.manual_seed(0)
    keep = {
        conv.name: torch.rand(conv.channels) < 0.6 for conv in wiring(network) if conv.removable
    }
    sizes, weights, channels = [], [], []
    for form in (collapse(network), pruned_twin(network, keep)):
        sizes.append(len(int8_model(PostTraining().quantize(trace(form), torch.rand(1, 3, 9, 9)))))
        convs = [layer for layer in form.modules() if isinstance(layer, nn.Conv2d)]
        weights.append(sum(conv.weight.numel() for conv in convs))
        channels.append(sum(conv.out_channels for conv in convs))
    # A channel has a bias (4 bytes), its scale (4) and the kernel's scale (4) and zero point (8).
    expected = weights[0] - weights[1] + 20 * (channels[0] - channels[1])
    assert sizes[0] - sizes[1] == pytest.approx(expected, abs=2 * 16 * len(convs))  # alignment
    assert expected > 0.2 * weights[0]


def test_a_network_of_which_nothing_can_go_says_so() -> None:
    with pytest.raises(UserError, match="no channel of PureConvSR can be removed"):
        ranking(PureConvSR())
