"""Blocks that train wide and ship as one convolution."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.kernels import compose_kernels
from sr_experiments.models import (
    ABPN,
    ESPCN,
    FSRCNN,
    VDSR,
    EMSRNet,
    SRModel,
    collapse,
    count_parameters,
)
from sr_experiments.models.blocks import BLOCKS, Collapsible, make_conv
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock
from sr_experiments.models.blocks.ecb import LAPLACIAN, SOBEL_X, SOBEL_Y, EdgeBranch
from sr_experiments.quantization.trace import trace

PLAIN: list[tuple[type[SRModel], dict[str, Any]]] = [
    (ABPN, {"channels": 6, "num_blocks": 1}),
    (EMSRNet, {"channels": 6, "num_blocks": 2}),
    (ESPCN, {}),
    (FSRCNN, {}),
    (VDSR, {"channels": 6, "num_blocks": 1}),
]
NAMES = [name for name in BLOCKS if name != "conv"]


def block_of(name: str, channels_in: int, channels_out: int, size: int = 3) -> Collapsible:
    """In double precision, with every parameter and statistic where training might leave it."""
    torch.manual_seed(0)
    block = make_conv(name, channels_in, channels_out, size).double()
    assert isinstance(block, Collapsible)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.uniform_(-1, 1)
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.2, 3)
    return block.eval()


def image(channels: int) -> Tensor:
    return torch.rand(2, channels, 6, 9, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels_in", "channels_out"), [(5, 5), (3, 7)])
def test_block_ships_as_one_convolution_of_the_same_output_borders_included(
    name: str, channels_in: int, channels_out: int
) -> None:
    block = block_of(name, channels_in, channels_out)
    conv = block.collapse()
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels) == (channels_in, channels_out)
    assert count_parameters(conv) == channels_out * (9 * channels_in + 1)
    x = image(channels_in)
    expected = block(x)
    assert expected.shape == (2, channels_out, 6, 9)
    assert (conv(x) - expected).abs().max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels_in", "channels_out"), [(5, 5), (3, 7), (7, 3)])
def test_block_can_be_given_any_kernel_and_goes_on_training_all_of_itself(
    name: str, channels_in: int, channels_out: int
) -> None:
    block = block_of(name, channels_in, channels_out)
    before = {key: value.clone() for key, value in block.state_dict().items()}
    weight = torch.randn(channels_out, channels_in, 3, 3, dtype=torch.float64)
    bias = torch.randn(channels_out, dtype=torch.float64)
    block.set_kernel(weight, bias)
    x = image(channels_in)
    assert (block(x) - F.conv2d(x, weight, bias, padding=1)).abs().max() < 1e-9
    changed = [key for key, value in block.state_dict().items() if not value.equal(before[key])]
    assert len(changed) == 2  # one kernel, one bias
    block(x).square().mean().backward()
    for key, value in block.named_parameters():
        assert value.grad is not None, key
        assert value.grad.any(), key


def test_the_change_of_a_given_kernel_is_the_smallest() -> None:
    # One channel throughout: project * middle = kernel, so the change is shared by nobody else.
    block = CollapsibleLinearBlock(1, 1, 1, width=2, identity=False).double()
    with torch.no_grad():
        block.middle.weight.zero_()
        block.project.weight.copy_(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1))
    block.set_kernel(torch.full((1, 1, 1, 1), 50.0, dtype=torch.float64), torch.zeros(1))
    # Of all (a, b) with 3 a + 4 b = 50 the shortest is (6, 8).
    assert block.middle.weight.flatten().tolist() == pytest.approx([6.0, 8.0])


def test_a_block_that_is_too_narrow_for_a_kernel_says_so() -> None:
    block = CollapsibleLinearBlock(4, 4, width=2)
    with pytest.raises(UserError, match="build the block wider"):
        block.set_kernel(torch.randn(4, 4, 3, 3), torch.zeros(4))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("ecb")])
@pytest.mark.parametrize("size", [1, 5])
def test_kernels_of_other_sizes_fold_too(name: str, size: int) -> None:
    block = block_of(name, 4, 4, size)
    conv = block.collapse()
    assert isinstance(conv, nn.Conv2d)
    assert conv.kernel_size == (size, size)
    x = image(4)
    assert (conv(x) - block(x)).abs().max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter_through_the_folded_kernel(name: str) -> None:
    block = block_of(name, 4, 4)
    weight, bias = block.folded()
    ((weight**2).sum() + (bias**2).sum()).backward()
    for key, parameter in block.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_online")])
def test_online_form_is_the_same_function_with_the_same_gradients(name: str) -> None:
    online, offline = block_of(name, 4, 4), block_of(name.removesuffix("_online"), 4, 4)
    offline.load_state_dict(online.state_dict())
    x = image(4)
    outputs = online(x), offline(x)
    assert (outputs[0] - outputs[1]).abs().max() < 1e-9
    for output in outputs:
        (output**2).sum().backward()
    for one, other in zip(online.parameters(), offline.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-9)


def test_batch_norm_trains_on_the_batch_and_ships_with_its_running_statistics() -> None:
    block = block_of("dbb", 4, 4)
    x = image(4)
    evaluated = block(x)
    trained = block.train()(x)
    assert (trained - evaluated).abs().max() > 0.01
    conv = block.collapse()
    assert (conv(x) - block.eval()(x)).abs().max() < 1e-9  # with the statistics moved by a step


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # NETWORKS.md: 28 wide, ratio 2
        ("rrrb", 31_500),
        # 3x3 to 256 and 1x1 back, as in SESR and KETI's RepBlock
        ("clb", 28 * 9 * 256 + 256 + 256 * 28 + 28),
        ("repblock", 28 * 9 * 256 + 256 + 256 * 28 + 28),
        ("ecnusr", 2 * (28 * 9 * 56 + 56 + 56 * 28 + 28)),
        ("repvgg", 28 * 28 * 10 + 2 * 28),
    ],
)
def test_blocks_have_the_published_number_of_parameters(name: str, count: int) -> None:
    assert count_parameters(make_conv(name, 28, 28)) == count


@pytest.mark.parametrize(("layers", "count"), [(2, 92_400), (3, 350_640)])
def test_tcl_block_has_the_published_number_of_parameters(layers: int, count: int) -> None:
    # NETWORKS.md 4.2: 48 channels, expanded four times
    assert count_parameters(CollapsibleLinearBlock(48, 48, width=192, layers=layers)) == count


def test_rrrb_is_the_formula_of_fmen() -> None:
    block = block_of("rrrb", 3, 3)
    parts = {
        key: (m.weight, m.bias) for key, m in block.named_modules() if isinstance(m, nn.Conv2d)
    }
    x = image(3)
    wide = F.conv2d(x, *parts["expand"])
    # NJU-Jet/FMEN: pad with zeros, then overwrite the border with the bias
    padded = F.pad(wide, (1, 1, 1, 1))
    border = parts["expand"][1].view(1, -1, 1)
    padded[:, :, 0, :] = padded[:, :, -1, :] = border
    padded[:, :, :, 0] = padded[:, :, :, -1] = border
    expected = F.conv2d(F.conv2d(padded, *parts["middle"]) + wide, *parts["reduce"]) + x
    assert torch.allclose(block(x), expected, rtol=0, atol=1e-12)


def test_edge_filters_answer_to_the_edges_they_are_named_for() -> None:
    columns = torch.arange(5.0).expand(1, 1, 5, 5)
    answers = []
    for edge in (SOBEL_X, SOBEL_Y, LAPLACIAN):
        branch = EdgeBranch(1, 1, edge)
        nn.init.ones_(branch.strength)
        nn.init.zeros_(branch.offset)
        nn.init.ones_(branch.mix.weight)
        answers.append(branch(columns)[0, 0, 2, 2].item())
    assert answers == [-8, 0, 0]


def test_unknown_block_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"model\.block=acb is not known.*conv, clb.*dbb"):
        make_conv("acb", 3, 3)
    with pytest.raises(UserError, match="kernel_size=5"):
        make_conv("ecb", 3, 3, 5)
    with pytest.raises(UserError, match="2 or 3 layers, not 4"):
        CollapsibleLinearBlock(3, 3, layers=4)


def test_two_large_kernels_are_not_folded() -> None:
    kernel = torch.rand(2, 2, 3, 3), torch.rand(2)
    with pytest.raises(UserError, match="one of the two must be 1x1"):
        compose_kernels(kernel, kernel)


def test_collapse_replaces_every_block_of_a_network() -> None:
    network = nn.Sequential(make_conv("ecb", 3, 4), nn.ReLU(), make_conv("dbb", 4, 4))
    twin = collapse(network.double())
    assert [type(module) for module in twin] == [nn.Conv2d, nn.ReLU, nn.Conv2d]
    x = image(3)
    assert (twin(x) - network.eval()(x)).abs().max() < 1e-9


@pytest.mark.parametrize(("network", "options"), PLAIN)
@pytest.mark.parametrize("name", ["clb", "clb3_online", "repblock", "ecb", "dbb", "rrrb", "repvgg"])
def test_plain_network_trains_as_blocks_and_ships_as_itself(
    network: type[SRModel], options: dict[str, Any], name: str
) -> None:
    torch.manual_seed(0)
    model = network(scale=2, block=name, **options).double().eval()
    twin = collapse(model)
    assert not any(isinstance(module, Collapsible) for module in twin.modules())
    plain = network(scale=2, **options)
    assert count_parameters(model) > count_parameters(plain) == count_parameters(twin)
    x = image(3)
    with torch.no_grad():
        assert (twin(x) - model(x)).abs().max() < 1e-9
        assert (trace(model).run(x) - model(x)).abs().max() < 1e-9
