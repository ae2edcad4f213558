"""Scales, zero points and rounded kernels against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from sr_experiments.quantization.params import (
    UNIT,
    QParams,
    fake_kernel,
    fake_slope,
    rescaled,
)

ONE = QParams.of_range(-1.0, 1.0)


def test_picture_has_one_level_for_each_pixel_value() -> None:
    assert QParams(float(np.float32(1 / 255)), -128) == UNIT
    pixels = torch.arange(256) / 255
    assert torch.equal((UNIT.fake(pixels) * 255).round(), torch.arange(256.0))


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (-1.0, 1.55, 0.01, -28),
        (0.3, 2.55, 0.01, -128),  # zero is always inside
        (-2.55, -1.0, 0.01, 127),
        (-0.004, 2.546, 0.01, -128),
        (0.0, 0.0, 1 / 255, -128),  # a tensor that is silent
    ],
)
def test_range_becomes_scale_and_zero_point(
    low: float, high: float, scale: float, zero_point: int
) -> None:
    params = QParams.of_range(low, high)
    assert params.scale == pytest.approx(scale, rel=1e-6)
    assert params.zero_point == zero_point
    assert params.fake(torch.zeros(1)).item() == 0


def test_scale_is_a_float32() -> None:
    scale = QParams.of_range(-0.123, 0.777).scale
    assert scale == float(np.float32(scale))


def test_largest_weight_of_each_kernel_is_127() -> None:
    weight = torch.tensor([1.27, -0.635, 0.0, 0.25, -2.54, 0.01]).view(2, 3, 1, 1)
    kernel = fake_kernel(weight, torch.tensor([0.5, -0.02]), UNIT, ONE, per_channel=True)
    integers, bias = kernel.integers()
    assert integers.flatten().tolist() == [127, -64, 0, 12, -127, 0]
    # bias / (scale of the weights / 255): 0.5 / (0.01 / 255), -0.02 / (0.02 / 255)
    assert bias.tolist() == [12750, -255]
    assert torch.equal(kernel.weight[0, 0], torch.tensor([[1.27]]))


def test_one_scale_for_all_kernels_is_that_of_the_largest_weight() -> None:
    weight = torch.tensor([1.27, -0.635, 0.0, 0.25, -2.54, 0.01]).view(2, 3, 1, 1)
    kernel = fake_kernel(weight, torch.zeros(2), UNIT, ONE, per_channel=False)
    assert kernel.integers()[0].flatten().tolist() == [64, -32, 0, 12, -127, 0]
    assert kernel.scales.tolist() == [pytest.approx(0.02)] * 2


def test_bias_of_a_dead_kernel_fits_into_31_bits() -> None:
    weight = torch.zeros(3, 1, 1, 1)
    bias = torch.tensor([3.0, -1e-8, 0.0])
    kernel = fake_kernel(weight, bias, UNIT, ONE, per_channel=True)
    assert int(kernel.integers()[1].abs().max()) <= 2**30
    torch.testing.assert_close(kernel.bias, bias, rtol=1e-6, atol=ONE.scale / 100)
    # XNNPACK wants input scale x weight scale / output scale of at least 2^-32.
    assert float((kernel.bias_scales / ONE.scale).min()) >= 2**-31


def test_gradients_pass_straight_through_the_rounding() -> None:
    weight = torch.randn(4, 2, 3, 3, requires_grad=True)
    bias = torch.randn(4, requires_grad=True)
    kernel = fake_kernel(weight, bias, UNIT, ONE, per_channel=True)
    assert not torch.equal(kernel.weight, weight)
    (kernel.weight.sum() + 2 * kernel.bias.sum()).backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert torch.equal(bias.grad, torch.full((4,), 2.0))


def test_slopes_share_one_scale() -> None:
    fake, scale = fake_slope(torch.tensor([0.25, -0.508, 0.1]))
    assert scale == pytest.approx(0.508 / 127)
    assert (fake / scale).round().tolist() == [62, -127, 25]  # 62.5 is rounded to even


def test_integers_are_rounded_twice_as_gemmlowp_does() -> None:
    # 0.3 = 0.6 * 2^-1: first to halves of a level, upwards, then to levels, away from zero.
    integers = torch.tensor([1.0, 2.0, 4.0, 5.0, -1.0, -5.0])
    # 0.3 0.6 1.2 1.5 -0.3 -1.5, in halves: 0.5 0.5 1.0 1.5 -0.5 -1.5
    expected = [1, 1, 1, 2, -1, -2]
    assert rescaled(integers, 0.3).tolist() == expected
