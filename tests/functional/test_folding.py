"""Folded layers against torch's own, borders included."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr_experiments.errors import UserError
from sr_experiments.functional.folding import fold_batch_norm, transposed_conv_as_conv
from sr_experiments.functional.shuffle import depth_to_space


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding", "expected"),
    [
        (9, 2, 4, 1, (5, 5)),
        (9, 3, 4, 2, (4, 4)),  # FSRCNN x3
        (9, 4, 4, 3, (3, 3)),
        (3, 2, 1, 1, (2, 2)),
        (2, 2, 0, 0, (1, 1)),
        (4, 2, 1, 0, (3, 3)),
        (1, 3, 0, 2, (1, 1)),  # taps that reach no input at all
    ],
)
def test_conv_and_shuffle_equal_the_transposed_convolution(
    kernel: int,
    stride: int,
    padding: int,
    output_padding: int,
    expected: tuple[int, int],
    bias: bool,
) -> None:
    layer = nn.ConvTranspose2d(6, 3, kernel, stride, padding, output_padding, bias=bias).double()
    weight, new_bias, size = transposed_conv_as_conv(
        layer.weight, layer.bias, stride, padding, output_padding
    )
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    before, after = (size[0] - 1) // 2, size[0] // 2  # as padding="same" does
    phases = F.conv2d(F.pad(x, (before, after) * 2), weight, new_bias)
    assert size == expected == tuple(weight.shape[2:])
    torch.testing.assert_close(depth_to_space(phases, stride), layer(x), rtol=0, atol=1e-12)


def test_gradient_reaches_every_tap_of_the_transposed_kernel() -> None:
    layer = nn.ConvTranspose2d(2, 3, 9, 3, 4, 2)
    weight, bias, _ = transposed_conv_as_conv(layer.weight, layer.bias, 3, 4, 2)
    (weight.sum() + bias.sum()).backward()
    assert layer.weight.grad is not None
    assert layer.bias is not None
    assert torch.equal(layer.weight.grad, torch.ones_like(layer.weight))
    assert torch.equal(layer.bias.grad, torch.full((3,), 9.0))


def test_transposed_convolution_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="does not enlarge by exactly 3"):
        transposed_conv_as_conv(torch.zeros(2, 3, 9, 9), None, 3, 4, 1)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_folded_batch_norm_gives_the_same_features(bias: bool, affine: bool) -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=bias).double()
    norm = nn.BatchNorm2d(5, affine=affine).double()
    for _ in range(3):
        norm(conv(torch.rand(4, 3, 8, 8, dtype=torch.float64)))
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    norm.eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, new_bias = fold_batch_norm(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        norm.eps,
    )
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(F.conv2d(x, weight, new_bias, padding=1), norm(conv(x)))
