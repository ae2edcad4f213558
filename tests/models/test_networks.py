"""What single papers say about their networks, beyond what the contract tests check for all."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import imresize
from sr_experiments.models import ABPN, EDSR, ESPCN, FSRCNN, VDSR, XLSR, SwiftSRGAN
from sr_experiments.models.edsr import DIV2K_MEAN


def test_xlsr_is_the_four_parallel_convolutions_of_its_figure() -> None:
    torch.manual_seed(0)
    model = XLSR().double()
    low_res = torch.rand(1, 3, 11, 6, dtype=torch.float64)
    conv = partial(F.conv2d, padding=1)
    heads = zip(model.head[0].weight.split(8), model.head[0].bias.split(8), strict=True)
    x = torch.cat([conv(low_res, weight, bias).relu() for weight, bias in heads], dim=1)
    x = model.mix(x)
    for block in model.blocks:
        roots = zip(
            x.split(8, dim=1), block[0].weight.split(8), block[0].bias.split(8), strict=True
        )
        x = torch.cat([conv(part, weight, bias).relu() for part, weight, bias in roots], dim=1)
        x = block[2](x)
    x = torch.cat([x, conv(low_res, model.skip.weight, model.skip.bias)], dim=1)
    x = model.tail(model.fuse[0](x).relu())
    expected = F.pixel_shuffle(x, 3).clamp(0, 1)  # the paper clips after the shuffle
    assert torch.allclose(model(low_res), expected, rtol=0, atol=1e-14)
    assert 0.1 < (expected == 0).double().mean() < 0.9  # the clip does something


@pytest.mark.parametrize(
    ("init", "variance", "bias"),
    [
        ("he_0.1", lambda fan_in, fan_out: 0.1 / fan_in, 0.0),
        ("he_0.2_fan_out", lambda fan_in, fan_out: 0.2 / fan_out, 0.01),
        ("he_times_0.1", lambda fan_in, fan_out: 0.01 * 2 / fan_in, 0.0),
    ],
)
def test_xlsr_starts_with_the_variance_of_each_reading(init, variance, bias) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    models = [XLSR(init=init) for _ in range(10)]
    fans = {"tail": (288, 243), "head.0": (27, 288), "blocks.1.0": (72, 288), "mix": (32, 32)}
    for name, (fan_in, fan_out) in fans.items():
        layers = [model.get_submodule(name) for model in models]
        weights = torch.stack([layer.weight.detach() for layer in layers])
        assert weights.std() == pytest.approx(math.sqrt(variance(fan_in, fan_out)), rel=0.03)
        assert abs(weights.mean()) < 0.03 * weights.std()
        assert all((layer.bias == bias).all() for layer in layers)


def test_default_initialisation_of_xlsr_has_no_outliers() -> None:
    torch.manual_seed(0)
    weight = XLSR().tail.weight
    # a truncated normal of variance 0.1 / fan-in ends at 2 / 0.8796 of its own deviations
    assert weight.abs().max() <= 2.2737 * math.sqrt(0.1 / 288)


def test_clip_hidden_bounds_the_hidden_layers_fixed_or_learned() -> None:
    fixed = XLSR(clip_hidden=0.25)
    hidden: list[float] = []
    for layer in (fixed.head, fixed.fuse, *(block[1] for block in fixed.blocks)):
        layer.register_forward_hook(lambda *call: hidden.append(call[-1].max().item()))
    torch.nn.init.constant_(fixed.head[0].bias, 9.0)
    fixed(torch.rand(1, 3, 8, 8))
    assert len(hidden) == 5
    assert max(hidden) == 0.25
    learned = XLSR(clip_hidden="learned")
    bounds = [name for name, _ in learned.named_parameters() if name.endswith("bound")]
    assert len(bounds) == 5


def test_abpn_without_its_residual_is_nearest_neighbour() -> None:
    model = ABPN()
    torch.nn.init.zeros_(model.tail.weight)
    low_res = torch.rand(1, 3, 6, 5)
    assert torch.equal(model(low_res), F.interpolate(low_res, scale_factor=3.0, mode="nearest"))


def test_vdsr_without_its_residual_is_bicubic() -> None:
    model = VDSR(num_blocks=1).double()
    torch.nn.init.zeros_(model.body[-1].weight)
    low_res = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    assert torch.allclose(model(low_res), imresize(low_res, 3), rtol=0, atol=1e-14)


def test_edsr_without_its_last_layer_is_the_mean_colour() -> None:
    model = EDSR(channels=8, num_blocks=1)
    for parameter in model.tail[-1].parameters():
        torch.nn.init.zeros_(parameter)
    prediction = model(torch.rand(1, 3, 4, 4))
    assert prediction[0, :, 5, 5].tolist() == pytest.approx(DIV2K_MEAN)


def test_edsr_takes_away_the_mean_before_its_first_layer() -> None:
    model = EDSR(channels=8, num_blocks=1)
    mean_colour = torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert model.subtract_mean(mean_colour).abs().max() == 0


def test_fsrcnn_depends_on_the_scale_in_its_stride_only() -> None:
    shapes = [
        {name: value.shape for name, value in FSRCNN(scale).state_dict().items()}
        for scale in (2, 3, 4)
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_impossible_options_are_refused_by_name() -> None:
    for scale in (1, 2.5, True, "3"):
        with pytest.raises(UserError, match=f"scale={scale}"):
            XLSR(scale)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="scale=6"):
        EDSR(scale=6)
    with pytest.raises(UserError, match=r"model\.init=he"):
        XLSR(init="he")
    with pytest.raises(UserError, match=r"model\.activation=gelu"):
        ESPCN(activation="gelu")
    with pytest.raises(UserError, match="tanh"):
        ESPCN(activation="tanh", clip_hidden=1.0)


def test_swift_srgan_ends_in_the_hyperbolic_tangent_of_its_code() -> None:
    torch.manual_seed(0)
    squashed = SwiftSRGAN(num_blocks=1, channels=8).eval()
    linear = SwiftSRGAN(num_blocks=1, channels=8, squash_output=False).eval()
    linear.load_state_dict(squashed.state_dict())
    low_res = 40 * torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        expected = (torch.tanh(linear(low_res)) + 1) / 2
        assert torch.allclose(squashed(low_res), expected, atol=1e-6)
    assert expected.std() > 0.01
