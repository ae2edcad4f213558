"""The report on layers against arithmetic that is done here by hand, in NumPy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sr_experiments.deploy.layer_values import integer_values
from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel
from sr_experiments.quantization import Int16Activations, PostTraining, trace
from sr_experiments.quantization.layer_noise import advice, first_to_fix, layer_noise
from sr_experiments.quantization.sensitivity import noise_shares, rounded, sweep


class Two(SRModel):
    """A pointwise convolution with ReLU, another one, and depth-to-space."""

    def __init__(self) -> None:
        super().__init__(2)
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 6, 1)
        self.second = nn.Conv2d(6, 12, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, low_res: Tensor) -> Tensor:
        y: Tensor = self.shuffle(self.second(self.first(low_res).relu()))
        return y


@pytest.fixture
def image() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 20, 24), generator=generator, dtype=torch.uint8)


def decibel(signal: np.ndarray, noise: np.ndarray) -> float:
    return float(10 * np.log10(np.square(signal).sum() / np.square(noise).sum()))


def test_noise_of_a_layer_is_that_of_the_integer_convolution_by_hand(image: Tensor) -> None:
    network = Two().eval()
    # Ranges of dim pictures: bright ones are cut off.
    quantized = PostTraining().quantize(trace(network), to_float(image)[None] * 0.6)
    layers = layer_noise(
        quantized, [to_float(image)[None]], lambda image: integer_values(quantized, image)
    )
    report = {layer.name: layer for layer in layers}
    assert list(report) == ["first", "second"]

    weight = network.first.weight.detach().double().numpy()[:, :, 0, 0]
    bias = network.first.bias.detach().double().numpy()  # type: ignore[union-attr]
    pixels = image.flatten(1).double().numpy()
    exact = np.maximum(weight @ (pixels / 255) + bias[:, None], 0)
    # int8 by LiteRT's specification: pixels less 128, symmetric weights, int32 sums.
    params = quantized.activations["first"]
    scales = np.abs(weight).max(1) / 127
    kernel = np.rint(weight / scales[:, None])
    offset = np.rint(bias / (scales / 255))
    sums = kernel @ pixels + offset[:, None]
    levels = np.rint(sums * (scales / 255 / params.scale)[:, None]) + params.zero_point
    made = (levels.clip(-128, 127) - params.zero_point) * params.scale
    first = report["first"]
    assert first.sqnr == pytest.approx(decibel(exact, made - exact), abs=0.02)
    assert first.own == pytest.approx(first.sqnr, abs=1e-4)  # the picture is exact
    assert first.kernel == pytest.approx(
        decibel(weight, kernel * scales[:, None] - weight), abs=1e-3
    )
    highest = (127 - params.zero_point) * params.scale
    assert first.saturated == pytest.approx((exact > highest + params.scale / 2).mean(), abs=1e-9)
    assert first.saturated > 0.05
    assert first.range == pytest.approx((0, highest), rel=1e-6)
    assert first.used == pytest.approx((exact.min(), exact.max()), rel=1e-5)
    assert first.filled == pytest.approx((highest - exact.min()) / highest, rel=1e-5)
    assert "cuts off" in advice(first)
    assert report["second"].own > report["second"].sqnr  # it inherits the noise


@pytest.mark.parametrize("mode", [PostTraining(), Int16Activations()])
def test_layers_are_those_of_the_fake_quantised_graph(image: Tensor, mode: PostTraining) -> None:
    quantized = mode.quantize(trace(Two().eval()), to_float(image)[None])
    low_res = to_float(image)[None]
    made = integer_values(quantized, low_res)
    with torch.no_grad():
        for node, tensor in quantized.graph.execute(low_res, quantized.compute):
            step = quantized.activations[node.name].scale
            apart = (made[node.name] - tensor).abs() / step
            assert apart.max() < 1.01
            assert (apart < 0.01).float().mean() > 0.999


def test_a_layer_that_fills_little_of_its_range_is_told_from_a_coarse_kernel(
    image: Tensor,
) -> None:
    network = Two().eval()
    with torch.no_grad():
        network.first.weight[0] *= 300  # for all other channels one scale is far too coarse
    low_res = to_float(image)[None]
    by_mode = {}
    for per_channel in (True, False):
        mode = PostTraining(per_channel=per_channel)
        quantized = mode.quantize(trace(network), low_res)
        by_mode[per_channel] = {
            layer.name: layer
            for layer in layer_noise(
                quantized,
                [low_res],
                lambda image, quantized=quantized: integer_values(quantized, image),
            )
        }
    assert by_mode[True]["first"].kernel > 40  # type: ignore[operator]
    assert by_mode[False]["second"].kernel == pytest.approx(by_mode[True]["second"].kernel, abs=6)
    wide = PostTraining().quantize(trace(Two().eval()), 4 * low_res)
    layers = layer_noise(wide, [low_res], lambda image: integer_values(wide, image))
    assert all(layer.filled < 0.5 for layer in layers)
    assert "of its range: observer=" in advice(first_to_fix(layers))


def test_mending_kernels_is_compared_with_the_network_before(image: Tensor) -> None:
    low_res = to_float(image)[None]
    graph = trace(Two().eval())
    mended = PostTraining(adaptive_rounding=20).quantize(graph, low_res)
    layers = layer_noise(mended, [low_res], lambda image: integer_values(mended, image))
    # Against its own rounded kernel it would be exact.
    kernels = [layer.kernel for layer in layers if layer.kernel is not None]
    assert len(kernels) == 2
    assert all(30 < kernel < 60 for kernel in kernels)


@pytest.mark.parametrize(("bits", "levels"), [(2, 4), (4, 16), (8, 256)])
def test_rounding_has_that_many_levels_and_an_exact_zero(bits: int, levels: int) -> None:
    x = torch.linspace(-1.3, 2.9, 20001)
    made = rounded(x, -1.0, 2.5, bits)
    assert len(made.unique()) == levels
    step = 3.5 / (levels - 1)
    inside = (x > made.min()) & (x < made.max())
    assert float((made - x)[inside].abs().max()) <= step / 2 + 1e-5
    assert 0.0 in made.unique().tolist()


def test_sensitivity_is_that_of_hooks_that_round_one_module(image: Tensor) -> None:
    network = Two().eval()
    low_res = to_float(image)[None]
    with torch.no_grad():
        high_res = to_uint8(network(low_res)[0] + 0.01 * torch.randn(3, 40, 48))
    quantized = PostTraining().quantize(trace(network), low_res)
    found = sweep(quantized, [(image, high_res)], [4, None])
    exact = to_uint8(network(low_res).detach())[0]
    assert found.exact == pytest.approx(psnr_rgb(exact, high_res, 2), abs=1e-6)
    assert [layer.name for layer in found.layers] == ["first", "second"]

    # The first layer alone in INT8, by torch's own operators on the modules.
    params = quantized.activations["first"]
    weight = network.first.weight.detach()
    scales = weight.abs().amax((1, 2, 3)) / 127
    zeros = torch.zeros(6, dtype=torch.int32)
    with torch.no_grad():
        network.first.weight.copy_(
            torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
        )
    network.first.register_forward_hook(
        lambda module, inputs, output: torch.fake_quantize_per_tensor_affine(
            output.relu(), params.scale, params.zero_point, -128, 127
        )
    )
    expected = psnr_rgb(to_uint8(network(low_res).detach())[0], high_res, 2)
    assert found.layers[0].alone == pytest.approx(expected, abs=0.01)
    # With both layers in floating point but one, what remains is the other's cost.
    assert found.layers[1].among[None] == pytest.approx(found.layers[0].alone, abs=1e-6)
    assert all(layer.among[4] < found.int8 - 0.2 for layer in found.layers)


def test_shares_of_noise_sum_to_one_and_find_the_coarse_layer(image: Tensor) -> None:
    network = Two().eval()
    low_res = to_float(image)[None]
    graph = trace(network)
    bright = PostTraining().quantize(graph, low_res)
    coarse = dict(bright.activations)
    params = coarse["first"]
    coarse["first"] = type(params)(20 * params.scale, params.zero_point)
    shares = noise_shares(type(bright)(bright.graph, coarse), [low_res])
    assert math.fsum(shares.values()) == pytest.approx(1)
    assert shares["first"] > 0.9
