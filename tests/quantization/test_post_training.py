"""What stronger post-training methods gain, on networks that need them."""

from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import chelsea
from torch import Tensor, nn

from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, ESPCN, XLSR, SRModel
from sr_experiments.quantization import PostTraining, QuantizationAware, trace
from sr_experiments.quantization.bias_correction import bias_corrected
from sr_experiments.quantization.equalization import equalized
from sr_experiments.quantization.graph import Conv
from sr_experiments.quantization.params import UNIT


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Eight crops of a photo."""
    photo = torch.from_numpy(chelsea()).permute(2, 0, 1) / 255
    return torch.stack(
        [photo[:, y : y + 24, x : x + 24] for y in (0, 90) for x in range(0, 240, 60)]
    )


def lively(model: SRModel) -> SRModel:
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model


@torch.no_grad()
def badly_scaled(model: SRModel) -> SRModel:
    """The same function, with channels of a hidden layer 1 to 100 times as large."""
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    factor = torch.logspace(0, 2, convs[0].out_channels)
    convs[0].weight.mul_(factor.view(-1, 1, 1, 1))
    assert convs[0].bias is not None
    convs[0].bias.mul_(factor)
    convs[1].weight.div_(factor.view(1, -1, 1, 1))
    return model


def noise(mode: PostTraining, model: SRModel, images: Tensor) -> float:
    """PSNR in dB of the file's picture to the network's own, on an image that did not calibrate."""
    content = int8_model(mode.quantize(trace(model), images))
    photo = chelsea()[180:240, 300:380]
    made = LiteRTRuntime(content).predict(photo[None])[0].clip(0, 255) / 255
    low_res = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        exact = model(low_res)[0].clamp(0, 1).permute(1, 2, 0).numpy()
    return float(-10 * np.log10(np.mean((made - exact) ** 2)))


def test_equalisation_rescues_badly_scaled_channels(images: Tensor) -> None:
    model = badly_scaled(lively(ESPCN(activation="relu")))
    plain = noise(PostTraining(per_channel=False), model, images)
    mended = noise(PostTraining(per_channel=False, equalize=True), model, images)
    assert mended > plain + 15  # dB


def test_equalised_network_computes_the_same(images: Tensor) -> None:
    for model in (badly_scaled(lively(ABPN())), lively(XLSR()), lively(ESPCN(activation="relu"))):
        graph = trace(model)
        with torch.no_grad():
            torch.testing.assert_close(equalized(graph).run(images), graph.run(images))


def test_equalised_channels_have_the_same_largest_weight_in_both_layers() -> None:
    graph = equalized(trace(badly_scaled(lively(ABPN()))))
    first, second = [node for node in graph.nodes if isinstance(node, Conv)][:2]
    out = first.kernel()[0].abs().amax((1, 2, 3))
    into = second.kernel()[0].abs().amax((0, 2, 3))
    torch.testing.assert_close(out, into, rtol=0.02, atol=0)


def test_bounded_clips_are_not_equalised_through() -> None:
    graph = trace(badly_scaled(lively(XLSR(clip_hidden=1.0))))
    before, after = (
        {node.name: node.kernel()[0] for node in made.nodes if isinstance(node, Conv)}
        for made in (graph, equalized(graph))
    )
    changed = {name for name, kernel in before.items() if not torch.equal(kernel, after[name])}
    # Only these pairs have no clip between: mix and its reader, and each block's end and the next.
    pairs = (("mix", "blocks.0.0"), ("blocks.0.2", "blocks.1.0"), ("blocks.1.2", "blocks.2.0"))
    assert changed == {name for pair in pairs for name in pair}


def test_bias_correction_takes_the_shift_off(images: Tensor) -> None:
    model = badly_scaled(lively(ESPCN(activation="relu")))
    graph = trace(model)
    quantized = PostTraining(per_channel=False).quantize(graph, images)
    corrected = bias_corrected(quantized, images)
    with torch.no_grad():
        exact = graph.run(images).mean((0, 2, 3))
        shifts = [
            float((q.run(images).mean((0, 2, 3)) - exact).abs().max())
            for q in (quantized, corrected)
        ]
    assert shifts[1] < 0.2 * shifts[0]
    # The option does the same, and the file is better for it.
    plain = noise(PostTraining(per_channel=False), model, images)
    mended = noise(PostTraining(per_channel=False, bias_correction=True), model, images)
    assert mended > plain + 4  # dB


def test_adaptive_rounding_beats_nearest(images: Tensor) -> None:
    model = badly_scaled(lively(ESPCN(activation="relu")))
    plain = noise(PostTraining(per_channel=False), model, images)
    mended = noise(PostTraining(per_channel=False, adaptive_rounding=40), model, images[:4])
    assert mended > plain + 3  # dB


def test_symmetric_activations_have_zero_points_of_zero_but_for_the_picture(images: Tensor) -> None:
    graph = trace(lively(XLSR()))
    activations = PostTraining(symmetric=True).quantize(graph, images).activations
    plain = PostTraining().quantize(graph, images).activations
    for name, params in activations.items():
        if plain[name] == UNIT:
            assert params == UNIT
            continue
        assert params.zero_point == 0
        if plain[name].zero_point == -128:  # a ReLU's values have half of the levels
            assert params.scale == pytest.approx(plain[name].scale * 255 / 127, rel=1e-6)
        else:
            assert params.scale < plain[name].scale * 255 / 127
    quantizer = QuantizationAware(symmetric=True).start(graph, images)
    assert dict(quantizer.quantized().activations) == dict(activations)


def test_each_option_changes_the_file(images: Tensor) -> None:
    model = badly_scaled(lively(ESPCN(activation="relu")))
    options: list[dict[str, Any]] = [
        {},
        {"observer": "entropy"},
        {"symmetric": True},
        {"fixed_output": True},
        {"equalize": True},
        {"adaptive_rounding": 3},
        {"bias_correction": True},
    ]
    files = [int8_model(PostTraining(**o).quantize(trace(model), images[:2])) for o in options]
    assert len(set(files)) == len(options)


def test_mended_kernels_leave_the_network_alone(images: Tensor) -> None:
    model = lively(ESPCN(activation="relu"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mode = PostTraining(equalize=True, adaptive_rounding=2, bias_correction=True)
    mode.quantize(trace(model), images[:2])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_what_mends_a_trained_network_is_not_for_one_that_trains() -> None:
    for option in ({"equalize": True}, {"adaptive_rounding": 9}, {"bias_correction": True}):
        with pytest.raises(UserError, match=f"quantization.{next(iter(option))} mends"):
            QuantizationAware(**option)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="adaptive_rounding=-1"):
        PostTraining(adaptive_rounding=-1)
