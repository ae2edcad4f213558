"""What the papers of the baselines say, beyond what the contract tests check for all."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import imresize
from sr_experiments.models import (
    IMDN,
    RRDB,
    SESR,
    SRCNN,
    WDSR,
    MSRResNet,
    SRModel,
    SRResNet,
    SwiftSRGAN,
    collapse,
    count_parameters,
)
from sr_experiments.models.blocks import WeightNormConv2d
from sr_experiments.models.edsr import DIV2K_MEAN


def image(channels: int = 3) -> Tensor:
    torch.manual_seed(1)
    return torch.rand(2, channels, 6, 9, dtype=torch.float64)


def shaken(model: SRModel) -> SRModel:
    """In double precision, with every parameter and statistic where training might leave it."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.2, 3)
    return model.double().eval()


def conv(x: Tensor, layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)


@pytest.mark.parametrize("middle_kernel", [5, 3, 1])
def test_srcnn_that_passes_the_colours_on_is_bicubic(middle_kernel: int) -> None:
    model = SRCNN(2, middle_kernel).double()
    for layer in (model.body[0], model.body[2], model.tail):
        assert isinstance(layer, nn.Conv2d)
        middle = layer.kernel_size[0] // 2
        nn.init.zeros_(layer.weight)
        layer.weight.data[range(3), range(3), middle, middle] = 1
    low_res = image()
    # the ReLUs cut what bicubic undershoots
    assert torch.allclose(model(low_res), imresize(low_res, 2).relu(), rtol=0, atol=1e-14)


def test_imdn_is_the_authors_block() -> None:
    model = shaken(IMDN(2, channels=16, num_blocks=1))
    low_res = image()
    (block,) = model.blocks
    x = conv(low_res, model.head)
    rest, parts = x, []
    for layer in block.convs:
        y = F.leaky_relu(conv(rest, layer), 0.05)
        parts.append(y[:, :4])
        rest = y[:, 4:]
    joined = torch.cat([*parts, conv(rest, block.last)], dim=1)
    flat = joined.flatten(2)
    contrast = flat.mean(2) + ((flat - flat.mean(2, keepdim=True)) ** 2).mean(2).sqrt()
    squeeze, _, excite, _ = block.attention.weigh
    weights = torch.sigmoid(conv(conv(contrast[:, :, None, None], squeeze).relu(), excite))
    y = x + conv(joined * weights, block.mix)
    y = conv(F.leaky_relu(conv(y, model.fuse[0]), 0.05), model.fuse[2]) + x
    expected = F.pixel_shuffle(conv(y, model.tail), 2)
    assert torch.allclose(model(low_res), expected, rtol=0, atol=1e-12)


def test_attention_of_imdn_has_a_finite_gradient_on_a_picture_of_one_colour() -> None:
    model = IMDN(channels=16, num_blocks=1)
    for parameter in model.head.parameters():
        nn.init.zeros_(parameter)
    model(torch.zeros(1, 3, 6, 6)).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_weight_normalised_convolution_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours = WeightNormConv2d(3, 5, 3).double()
    plain = nn.Conv2d(3, 5, 3, padding=1).double()
    theirs = nn.utils.parametrizations.weight_norm(plain, dim=0)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(2.5 * ours.gain.view(-1, 1, 1, 1))
        theirs.parametrizations.weight.original1.copy_(ours.direction)
        theirs.bias.copy_(ours.bias)
        ours.gain.mul_(2.5)
    x = image()
    outputs = ours(x), theirs(x)
    assert torch.allclose(*outputs, rtol=0, atol=1e-12)
    for output in outputs:
        output.square().sum().backward()
    assert ours.gain.grad is not None
    assert ours.direction.grad is not None
    lengths = theirs.parametrizations.weight.original0.grad.flatten()
    directions = theirs.parametrizations.weight.original1.grad
    assert torch.allclose(ours.gain.grad, lengths, rtol=0, atol=1e-10)
    assert torch.allclose(ours.direction.grad, directions, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_weight_normalised_convolution_starts_as_torchs_convolution(size: int) -> None:
    torch.manual_seed(0)
    weight, bias = WeightNormConv2d(32, 64, size).folded()
    limit = 1 / math.sqrt(32 * size**2)
    for values in (weight, bias):
        assert values.abs().max() <= limit + 1e-6
        assert values.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize(("variant", "expansion"), [("a", 4), ("b", 6)])
def test_wdsr_is_the_authors_network_in_their_range(variant: str, expansion: int) -> None:
    model = shaken(WDSR(2, channels=5, num_blocks=2, expansion=expansion, variant=variant))
    twin = collapse(model)
    low_res = image()
    mean = 255 * torch.tensor(DIV2K_MEAN).double().view(1, 3, 1, 1)  # of single precision
    centred = (255 * low_res - mean) / 127.5
    features = conv(centred, twin.head)
    for block in twin.blocks:
        y = features
        for layer in block:
            y = conv(y, layer) if isinstance(layer, nn.Conv2d) else y.relu()
        features = features + y
    sizes = [layer.out_channels for layer in twin.blocks[0] if isinstance(layer, nn.Conv2d)]
    assert sizes == ([20, 5] if variant == "a" else [30, 4, 5])
    shuffled = F.pixel_shuffle(conv(features, twin.tail) + conv(centred, twin.skip), 2)
    expected = (shuffled * 127.5 + mean) / 255
    assert torch.allclose(model(low_res), expected, rtol=0, atol=1e-9)
    assert not any(isinstance(module, WeightNormConv2d) for module in twin.modules())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_batch_norm_of_srresnet_is_gone_when_it_ships(scale: int) -> None:
    model = shaken(SRResNet(scale, channels=6, num_blocks=2, per_channel_slopes=True))
    twin = collapse(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    low_res = image()
    assert (twin(low_res) - model(low_res)).abs().max() < 1e-9


def test_slopes_of_srresnet_are_one_or_one_a_channel() -> None:
    for per_channel, count in ((False, 1), (True, 6)):
        model = SRResNet(channels=6, num_blocks=1, per_channel_slopes=per_channel)
        slopes = [m.num_parameters for m in model.modules() if isinstance(m, nn.PReLU)]
        assert slopes == [count] * 3


@pytest.mark.parametrize("network", [SRResNet, SwiftSRGAN])
def test_enlargement_that_starts_as_icnr_repeats_pixels(network: type[SRModel]) -> None:
    torch.manual_seed(0)
    features = torch.rand(1, 8, 5, 6)
    for icnr in (True, False):
        tail = network(scale=4, channels=8, num_blocks=1, icnr=icnr).tail  # type: ignore[call-arg]
        enlarged = tail[1](tail[0](features))
        repeated = F.interpolate(enlarged[..., ::2, ::2], scale_factor=2, mode="nearest")
        apart = (enlarged - repeated).abs().max()
        assert apart < 1e-6 if icnr else apart > 0.01
        assert (enlarged[:, 0] - enlarged[:, 1]).abs().max() > 0.01


def test_msrresnet_without_its_residual_is_bilinear() -> None:
    model = MSRResNet(2, channels=4, num_blocks=1)
    nn.init.zeros_(model.tail[-1].weight)  # type: ignore[arg-type]
    row = torch.tensor([0.0, 0.4, 0.8]).expand(1, 3, 1, 3)
    # half-pixel centres: quarters and three quarters of a step, the border repeated
    expected = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.8])
    assert torch.allclose(model(row)[0, 0, 0], expected, rtol=0, atol=1e-6)


def test_rrdb_is_the_formula_of_its_paper() -> None:
    model = shaken(RRDB(4, channels=6, growth=3, num_blocks=1))
    low_res = image()
    shallow = conv(low_res, model.head)
    block = model.body[0]
    x = shallow
    for dense in block.dense:
        features = x
        for layer in dense.convs:
            made = F.leaky_relu(conv(features, layer), 0.2)
            features = torch.cat([features, made], dim=1)
        x = x + 0.2 * conv(features, dense.last)
    x = shallow + conv(shallow + 0.2 * x, model.body[1])
    for layer in (model.tail[1], model.tail[4]):
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = F.leaky_relu(conv(x, layer), 0.2)
    expected = conv(F.leaky_relu(conv(x, model.tail[6]), 0.2), model.tail[8])
    assert torch.allclose(model(low_res), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "num_blocks", "width", "luma"),
    [
        (16, 3, 256, 8_912),
        (16, 5, 256, 13_520),
        (16, 7, 256, 18_128),
        (16, 11, 64, 27_344),
        (32, 11, 64, 105_376),
    ],
)
def test_sesr_of_luma_has_the_papers_number_of_weights(
    channels: int, num_blocks: int, width: int, luma: int
) -> None:
    model = collapse(SESR(2, channels, num_blocks, width))
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    # three colours are read by the first layer and made by the last
    count = weights[0].numel() // 3 + weights[-1].numel() // 3
    assert count + sum(weight.numel() for weight in weights[1:-1]) == luma


def test_sesr_without_its_last_layer_is_nearest_neighbour() -> None:
    model = SESR()
    nn.init.zeros_(model.tail.project.weight)
    low_res = torch.rand(1, 3, 6, 5)
    nearest = F.interpolate(low_res, scale_factor=3.0, mode="nearest")
    assert torch.equal(model(low_res), nearest)


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_sesr_is_the_authors_network(activation: str) -> None:
    model = shaken(SESR(2, channels=4, num_blocks=2, width=8, activation=activation))
    twin = collapse(model)
    assert count_parameters(twin) == count_parameters(model) - _folded_away(model)
    low_res = image()
    first = conv(low_res - 0.5, twin.head)
    x = first
    for layer in twin.body:
        if isinstance(layer, nn.Conv2d):
            x = conv(x, layer)
        else:
            x = x.relu() if activation == "relu" else F.prelu(x, layer.weight)
    pixels = conv(x + first, twin.tail) + low_res.repeat_interleave(4, dim=1)
    expected = F.pixel_shuffle(pixels, 2).clamp(0, 1)
    assert 0 < (expected % 1 == 0).double().mean() < 1  # the clip does something
    assert torch.allclose(model(low_res), expected, rtol=0, atol=1e-9)


def _folded_away(model: SRModel) -> int:
    """Parameters of 8-wide blocks beyond those of the convolutions that they fold to."""
    shapes = [(3, 4, 25), (4, 4, 9), (4, 4, 9), (4, 12, 25)]
    wide = sum(i * k * 8 + 8 + 8 * o + o for i, o, k in shapes)
    return wide - sum(i * o * k + o for i, o, k in shapes)


def test_impossible_options_are_refused_by_name() -> None:
    for network in (SRResNet, MSRResNet, RRDB):
        with pytest.raises(UserError, match=f"{network.__name__} enlarges by 3 .* scale=6"):
            network(scale=6)
    with pytest.raises(UserError, match=r"model\.channels=40 is no multiple of 16"):
        IMDN(channels=40)
    with pytest.raises(UserError, match=r"model\.variant=c"):
        WDSR(variant="c")
    with pytest.raises(UserError, match=r"model\.activation=tanh"):
        SESR(activation="tanh")
    with pytest.raises(UserError, match=r"model\.middle_kernel=7"):
        SRCNN(middle_kernel=7)
