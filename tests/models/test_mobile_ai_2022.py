"""What the report says about single networks, beyond what the contract tests check for all."""

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale
from sr_experiments.models import (
    ABPN,
    ACSR,
    HOPN,
    KLN,
    RPQ,
    S2R2,
    SCSRN,
    XCAT,
    AntinsNet,
    BilibiliNet,
    BOENet,
    DoubleZ,
    EMSRNet,
    Lab216Net,
    MobileSR,
    NCNet,
    PureConvSR,
    RepGSR,
    SkipSkip,
    SRModel,
    VccipNet,
    collapse,
)
from sr_experiments.models.health import dead_output_channels, watch_output_clip
from sr_experiments.quantization.graph import Conv, DepthToSpace, Input
from sr_experiments.quantization.trace import trace


def image() -> Tensor:
    return torch.rand(1, 3, 9, 7, dtype=torch.float64)


def shaken(model: SRModel) -> SRModel:
    """In double precision, with biases and weights that do something everywhere."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.double().eval()


CLIPPED = [
    *(ABPN, ACSR, AntinsNet, BilibiliNet, BOENet, EMSRNet, HOPN, KLN, Lab216Net, MobileSR),
    *(NCNet, PureConvSR, RPQ, RepGSR, SCSRN, SkipSkip, VccipNet, XCAT),
]


@pytest.mark.parametrize("network", CLIPPED)
def test_no_output_channel_is_dead_from_the_start(network: type[SRModel]) -> None:
    crop = torch.from_numpy(data.chelsea()[60:186, 100:226].copy()).permute(2, 0, 1)[None]
    low_res = downscale(crop, 3) / 255
    for seed in range(5):
        torch.manual_seed(seed)
        model = network()
        assert model.output_clip is not None
        with torch.no_grad(), watch_output_clip(model) as dead:
            model(low_res)
        assert not dead


@pytest.mark.parametrize("block", ["clb", "clb3", "ecnusr", "rrrb", "repvgg", "vccip", "ecb"])
def test_blocks_leave_no_output_channel_dead_either(block: str) -> None:
    crop = torch.from_numpy(data.chelsea()[60:186, 100:226].copy()).permute(2, 0, 1)[None]
    low_res = downscale(crop, 3) / 255
    for seed in range(3):
        torch.manual_seed(seed)
        for model in (ABPN(block=block), HOPN(block=block)):
            with torch.no_grad(), watch_output_clip(model) as dead:
                model(low_res)
            assert not dead


def test_nearest_convolution_is_the_repeated_input() -> None:
    frozen, repeated = shaken(NCNet()), ABPN(channels=32).double()
    repeated.load_state_dict(frozen.state_dict())
    x = image()
    assert torch.allclose(frozen(x), repeated(x), rtol=0, atol=1e-14)
    assert all("anchor" not in name for name, _ in frozen.named_parameters())


@pytest.mark.parametrize("anchor", ["nearest", "conv1", "conv3"])
@pytest.mark.parametrize("scale", [2, 4])
def test_every_anchor_starts_as_nearest_neighbour(anchor: str, scale: int) -> None:
    model = ABPN(scale, anchor=anchor)
    nn.init.zeros_(model.tail.weight)  # type: ignore[arg-type]
    low_res = torch.rand(1, 3, 6, 5)
    nearest = F.interpolate(low_res, scale_factor=float(scale), mode="nearest")
    assert torch.allclose(model(low_res), nearest, rtol=0, atol=1e-6)


def test_unknown_anchor_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.anchor=bicubic"):
        ABPN(anchor="bicubic")


@pytest.mark.parametrize("network", [DoubleZ, S2R2])
def test_a_relu_bounds_the_picture_from_below_only(network: type[SRModel]) -> None:
    bright = torch.full((1, 3, 8, 8), 3.0)
    dark = -bright
    for model, top in ((network(), 2.0), (network(clip_output=True), 1.0)):
        assert model(bright).max() >= top
        assert model(dark).min() == 0
    assert network(clip_output=True)(bright).max() == 1


def test_pureconvsr_ships_convolutions_with_relu_and_nothing_else() -> None:
    graph = trace(collapse(PureConvSR()))
    first, *convs, last = graph.nodes
    assert isinstance(first, Input)
    assert isinstance(last, DepthToSpace)
    assert [type(node) for node in convs] == [Conv] * 6
    assert all(isinstance(node, Conv) and node.bounds.low == 0 for node in convs)
    assert [node.channels for node in convs] == [32, 32, 32, 32, 27, 27]
    assert [node.kernel()[0].shape[-1] for node in convs if isinstance(node, Conv)] == [
        *(3, 3, 3, 3, 3),
        1,
    ]


def test_pureconvsr_is_a_plain_network_on_an_anchor_clipped() -> None:
    model = shaken(PureConvSR(scale=2, channels=5, num_blocks=2))
    x = image()
    features = x
    for carry in model.body[::2]:
        features = carry.conv(features).relu()
    residual = F.pixel_shuffle(model.tail.conv(features), 2)
    expected = (residual + F.interpolate(x, scale_factor=2.0, mode="nearest")).clamp(0, 1)
    assert 0 < (expected % 1 == 0).double().mean() < 1  # the clip does something
    for form in (model, collapse(model)):
        assert (form(x) - expected).abs().max() < 1e-9
    assert (trace(model).run(x) - expected).abs().max() < 1e-9


def test_pureconvsr_without_clip_ships_a_convolution_less() -> None:
    model = shaken(PureConvSR(scale=2, channels=5, num_blocks=2, clip_output=False))
    convs = [node for node in trace(collapse(model)).nodes if isinstance(node, Conv)]
    assert len(convs) == 4
    x = image()
    assert model(x).max() > 1
    assert (collapse(model)(x) - model(x)).abs().max() < 1e-9


def test_carrying_weights_stay_as_they_are_while_the_rest_trains() -> None:
    model = PureConvSR(scale=2, channels=5, num_blocks=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (model(torch.rand(1, 3, 8, 8)) - 0.5).square().mean().backward()
    optimizer.step()
    weight, bias = model.body[2].folded()
    carried = torch.zeros(3, 8, 3, 3)
    carried[range(3), range(5, 8), 1, 1] = 1
    assert torch.equal(weight[5:], carried)
    assert not bias[5:].any()
    assert not weight[:5, 5:].any()


@pytest.mark.parametrize("clip_output", [True, False])
def test_folded_pureconvsr_goes_on_carrying_the_image_while_it_trains(clip_output: bool) -> None:
    torch.manual_seed(0)
    model = collapse(PureConvSR(scale=2, channels=5, num_blocks=2, clip_output=clip_output))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.rand(1, 3, 8, 8)
    for _ in range(3):
        optimizer.zero_grad()
        (model.train()(x) - 0.5).square().mean().backward()
        optimizer.step()
        model.after_step()
    last = model.tail[0] if clip_output else model.tail
    assert last.weight[:, :5].abs().min() > 0
    with torch.no_grad():  # without the features, what is left is nearest neighbour
        last.weight[:, :5] = 0
        last.bias.fill_(1 if clip_output else 0)
        expected = F.interpolate(x, scale_factor=2.0, mode="nearest")
        assert torch.allclose(model(x), expected, atol=1e-6)


def test_skipskip_trains_with_silu_and_goes_on_with_relu() -> None:
    smooth = SkipSkip(activation="silu")
    trace(smooth)
    model = SkipSkip()
    model.load_state_dict(smooth.state_dict())
    trace(model)
    with pytest.raises(UserError, match=r"model\.activation=gelu"):
        SkipSkip(activation="gelu")


def test_xcat_is_split_unequally_and_shifted_by_half() -> None:
    model = shaken(XCAT(scale=2, channels=8, num_blocks=3))
    x = image()
    features = torch.cat([conv(x) for conv in model.head], dim=1)
    for block in model.blocks:
        half, row, column = features.split([4, 2, 2], dim=1)
        weight = torch.cat([conv[0].weight for conv in block.wide])
        bias = torch.cat([conv[0].bias for conv in block.wide])
        parts = [
            F.conv2d(half, weight, bias, padding=1),
            F.conv2d(row, block.row[0].weight, block.row[0].bias, padding=(0, 1)),
            F.conv2d(column, block.column[0].weight, block.column[0].bias, padding=(1, 0)),
        ]
        features = torch.roll(torch.cat(parts, dim=1).relu(), shifts=4, dims=1)
    nearest = F.interpolate(x, scale_factor=2.0, mode="nearest")
    expected = (F.pixel_shuffle(model.tail(features), 2) + nearest).clamp(0, 1)
    assert torch.allclose(model(x), expected, rtol=0, atol=1e-12)
    with pytest.raises(UserError, match=r"model\.channels=30"):
        XCAT(channels=30)


def test_rpq_takes_the_widths_that_pruning_leaves() -> None:
    model = collapse(RPQ(channels=[5, 4, 6], num_blocks=2))
    convs = [node for node in trace(model).nodes if isinstance(node, Conv)]
    assert [node.channels for node in convs] == [5, 4, 6, 27]
    with pytest.raises(UserError, match="has 2 widths: this network has 5"):
        RPQ(channels=[5, 4])


def test_first_layer_of_rpq_can_become_any_kernel() -> None:
    torch.manual_seed(0)
    weight, _ = RPQ().body[0].folded()
    assert torch.linalg.matrix_rank(weight.flatten(1)) == 27


def test_kln_keeps_the_kernel_that_training_arrives_at() -> None:
    torch.manual_seed(0)
    model = KLN(scale=2).train()
    start = model.skip.kernel.clone()
    optimizer = torch.optim.Adam(model.skip.learner.parameters(), lr=1e-2)
    low_res = torch.rand(4, 3, 12, 12)
    target = F.interpolate(low_res.roll(1, -1), scale_factor=2.0, mode="nearest")
    losses = []
    for _ in range(30):
        loss = (model(low_res) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert (model.skip.kernel - start).abs().max() > 0.01
    kept = model.skip.kernel.clone()
    shipped = collapse(model)
    assert isinstance(shipped.skip, nn.Conv2d)
    assert torch.equal(shipped.skip.weight, kept)
    assert not shipped.skip.weight.requires_grad  # fixed, should the folded network train on
    model.eval()
    model(low_res)
    assert torch.equal(model.skip.kernel, kept)


def test_output_of_a_fresh_network_without_anchor_is_grey() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        prediction = HOPN()(torch.rand(1, 3, 16, 16))
    assert prediction.mean().item() == pytest.approx(0.5, abs=0.05)
    assert not dead_output_channels(prediction)
