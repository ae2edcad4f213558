"""Post-training quantisation: which tensors share a scale, what is fixed, what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, ESPCN, FSRCNN, XLSR, SRModel
from sr_experiments.quantization import Graph, Percentile, PostTraining, trace
from sr_experiments.quantization.graph import Add, Concat, Conv, DepthToSpace, Gather
from sr_experiments.quantization.params import UNIT, QParams
from sr_experiments.quantization.sharing import separate_input


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def lively(model: SRModel) -> SRModel:
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model


def test_joined_tensors_have_one_scale(images: Tensor) -> None:
    for model in (lively(XLSR()), lively(ABPN())):
        quantized = PostTraining().quantize(trace(model), images)
        for node in quantized.graph.nodes:
            if isinstance(node, Concat | DepthToSpace | Gather):
                scales = {quantized.activations[name] for name in (node.name, *node.inputs)}
                assert len(scales) == 1


def test_picture_and_clipped_output_have_their_own_256_levels(images: Tensor) -> None:
    graph = trace(lively(XLSR()))
    activations = PostTraining().quantize(graph, images * 0.3).activations
    assert activations["input"] == UNIT
    assert activations[graph.output] == UNIT


def test_linear_output_covers_what_was_seen_and_at_least_a_picture(images: Tensor) -> None:
    graph = trace(lively(ESPCN()))
    with torch.no_grad():
        seen = graph.run(images)
    assert float(seen.min()) < -0.1
    params = PostTraining().quantize(graph, images).activations[graph.output]
    high = max(1.0, float(seen.max()))
    assert params == QParams.of_range(float(seen.min()), high)


def test_minmax_range_is_that_of_the_clipped_tensor(images: Tensor) -> None:
    graph = trace(lively(XLSR()))
    head = next(node for node in graph.nodes if isinstance(node, Conv))
    values = {node.name: tensor for node, tensor in graph.values(images)}
    params = PostTraining().quantize(graph, images).activations[head.name]
    assert params.zero_point == -128  # a ReLU leaves nothing below zero
    assert params == QParams.of_range(0.0, float(values[head.name].detach().max()))


def test_observer_can_be_given_with_its_settings(images: Tensor) -> None:
    graph = trace(lively(XLSR()))
    wide = PostTraining().quantize(graph, images).activations
    narrow = PostTraining(observer=Percentile(95.0)).quantize(graph, images).activations
    assert narrow["mix"].scale < 0.9 * wide["mix"].scale


def test_picture_beside_features_gets_a_scale_of_its_own(images: Tensor) -> None:
    class Beside(SRModel):
        def __init__(self) -> None:
            super().__init__(2)
            self.head = nn.Conv2d(3, 5, 3, padding=1)
            self.tail = nn.Conv2d(8, 12, 1)
            self.shuffle = nn.PixelShuffle(2)

        def forward(self, low_res: Tensor) -> Tensor:
            y: Tensor = self.shuffle(self.tail(torch.cat([self.head(low_res) * 9, low_res], 1)))
            return y

    graph = trace(Beside())
    quantized = PostTraining().quantize(graph, images)
    assert quantized.activations["input"] == UNIT
    assert quantized.activations["cat"].scale > UNIT.scale
    with torch.no_grad():
        torch.testing.assert_close(separate_input(graph).run(images), graph.run(images))


def test_fake_quantised_graph_teaches_every_parameter(images: Tensor) -> None:
    for model in (lively(XLSR(clip_hidden="learned")), lively(FSRCNN(clip_output=True))):
        quantized = PostTraining().quantize(trace(model), images)
        (quantized.run(images) - 0.5).square().mean().backward()
        missing = [
            name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()
        ]
        # A learned bound that no calibration image reaches has nothing to learn from it.
        assert [name for name in missing if "bound" not in name] == []


def test_gradient_of_the_fake_quantised_graph_points_where_the_float_one_does(
    images: Tensor,
) -> None:
    model = lively(ESPCN())
    graph = trace(model)
    quantized = PostTraining().quantize(graph, images)
    gradients = []
    for run in (graph.run, quantized.run):
        model.zero_grad()
        run(images).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.99


def test_every_tensor_lies_on_its_levels(images: Tensor) -> None:
    quantized = PostTraining().quantize(trace(lively(ABPN())), images)
    with torch.no_grad():
        for node, tensor in quantized.graph.execute(images, quantized.compute):
            params = quantized.activations[node.name]
            levels = tensor / params.scale + params.zero_point
            assert float((levels - levels.round()).abs().max()) < 1e-3
            assert float(levels.min()) >= -128.01
            assert float(levels.max()) <= 127.01
    assert any(isinstance(node, Add) for node in quantized.graph.nodes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observer": "median"}, "quantization.observer=median"),
        ({"input_type": "int4"}, "quantization.input_type=int4"),
        ({"output_type": "int16"}, "quantization.output_type=int16"),
        ({"calibration_images": 0}, "quantization.calibration_images"),
        ({"calibration_size": -1}, "quantization.calibration_size"),
    ],
)
def test_impossible_settings_are_refused_when_they_are_made(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        PostTraining(**options)


def test_per_channel_scales_rescue_the_quietest_kernel(images: Tensor) -> None:
    model = ESPCN()
    conv = model.body[0]
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight[7] *= 0.003
    graph: Graph = trace(model)
    noise = {}
    for per_channel in (True, False):
        quantized = PostTraining(per_channel=per_channel).quantize(graph, images)
        node = next(node for node in graph.nodes if isinstance(node, Conv))
        error = (quantized.kernel(node).weight[7] - conv.weight[7]).detach()
        ratio = conv.weight[7].detach().square().sum() / error.square().sum()
        noise[per_channel] = 10 * float(torch.log10(ratio))
    assert noise[False] < 10  # dB
    assert noise[True] > 40
