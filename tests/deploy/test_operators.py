"""Each operator by itself: PyTorch, LiteRT and ONNX Runtime, in floating point and INT8."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, TorchRuntime
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import PostTraining, QuantizedGraph, receptive_radius, trace

Forward = Callable[[Any, Tensor], Tensor]
CHANNELS = 12


class Small(SRModel):
    """A convolution, the operator, and depth-to-space."""

    def __init__(self, forward: Forward, parts: dict[str, nn.Module | nn.Parameter]) -> None:
        super().__init__(2)
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, CHANNELS, 3, padding=1)
        for name, part in parts.items():
            setattr(self, name, part)
        self.operator = forward
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, low_res: Tensor) -> Tensor:
        y: Tensor = self.shuffle(self.operator(self, self.conv(low_res) * 2 - 0.3))
        return y


def layer(module: nn.Module) -> SRModel:
    return Small(lambda self, x: self.layer(x), {"layer": module})


def formula(forward: Forward, **parts: nn.Module | nn.Parameter) -> SRModel:
    return Small(forward, parts)


def conv(*options: int, **more: Any) -> nn.Conv2d:
    torch.manual_seed(2)
    return nn.Conv2d(CHANNELS, CHANNELS, *options, **more)


def slopes(count: int) -> nn.PReLU:
    module = nn.PReLU(count)
    nn.init.uniform_(module.weight, -0.3, 0.9)
    return module


def contrast_attention(self: Any, x: Tensor) -> Tensor:
    """IMDN's."""
    mean, deviation = (
        x.mean((2, 3), keepdim=True),
        x.std(dim=(2, 3), correction=0, keepdim=True),
    )
    return x * self.expand(self.squeeze(mean + deviation).relu()).sigmoid()


def mixed(self: Any, x: Tensor) -> Tensor:
    first, second, third = torch.split(x, [3, 5, 4], 1)
    parts = [third, first.relu()]
    for part in second.chunk(2, 1):
        parts.append(part)
    return torch.cat(parts, 1)


def two_curves(self: Any, x: Tensor) -> Tensor:
    return torch.cat([x.tanh()[:, ::2], x.sigmoid()[..., 1::2, :, :]], 1)


def own_deviation(self: Any, x: Tensor) -> Tensor:
    mean = F.adaptive_avg_pool2d(x, 1)
    return x * ((x - mean) ** 2).mean((-1, -2), keepdim=True) ** 0.5


OPERATORS: dict[str, Callable[[], SRModel]] = {
    "leaky relu 0.05": lambda: layer(nn.LeakyReLU(0.05)),
    "leaky relu 0.2": lambda: formula(lambda self, x: F.leaky_relu(x, 0.2)),
    "prelu with one slope": lambda: layer(slopes(1)),
    "prelu with slopes": lambda: layer(slopes(CHANNELS)),
    "sigmoid": lambda: layer(nn.Sigmoid()),
    "tanh": lambda: layer(nn.Tanh()),
    "tanh to [0, 1]": lambda: formula(lambda self, x: (torch.tanh(x) + 1) / 2),
    "silu": lambda: layer(nn.SiLU()),
    "hardswish": lambda: layer(nn.Hardswish()),
    "hardsigmoid": lambda: layer(nn.Hardsigmoid()),
    "elu": lambda: layer(nn.ELU()),
    "gelu": lambda: layer(nn.GELU()),
    "relu6": lambda: formula(lambda self, x: F.relu6(input=x)),
    "relu of what is joined": lambda: formula(
        lambda self, x: torch.cat([-x, x], 1)[:, 6:18].relu()
    ),
    "add": lambda: formula(lambda self, x: x + self.other(x), other=conv(1)),
    "sub": lambda: formula(lambda self, x: self.other(x) - x, other=conv(1)),
    "mul": lambda: formula(lambda self, x: x * self.other(x), other=conv(1)),
    "mul that clips": lambda: formula(lambda self, x: (x * x).clamp(0.1, 0.5)),
    "constants": lambda: formula(lambda self, x: 1 - (0.2 * x + 0.5) / 4),
    "parameters": lambda: formula(
        lambda self, x: x.relu() * self.factor - self.offset,
        factor=nn.Parameter(torch.linspace(0.5, 1.5, CHANNELS).view(1, -1, 1, 1)),
        offset=nn.Parameter(torch.tensor(0.3)),
    ),
    "square root": lambda: formula(lambda self, x: torch.sqrt(x.square() + 0.05)),
    "split and chunk": lambda: formula(mixed),
    "slices of curves": lambda: formula(two_curves),
    "narrow": lambda: formula(lambda self, x: x.narrow(1, 3, 6).repeat_interleave(2, 1)),
    "mean": lambda: formula(lambda self, x: x - F.adaptive_avg_pool2d(x, (1, 1))),
    "deviation": lambda: formula(own_deviation),
    "channel attention": lambda: formula(
        lambda self, x: self.weigh(x) * x,
        weigh=nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(1), nn.Sigmoid()),
    ),
    "contrast attention": lambda: formula(contrast_attention, squeeze=conv(1), expand=conv(1)),
    "dilation": lambda: layer(conv(3, padding=2, dilation=2)),
    "depthwise dilation": lambda: layer(conv(3, padding="same", dilation=3, groups=CHANNELS)),
    "reflected border": lambda: layer(conv(5, padding=2, padding_mode="reflect")),
    "replicated border": lambda: layer(conv(3, padding=1, padding_mode="replicate")),
    "zeros around": lambda: formula(
        lambda self, x: self.other(F.pad(x, (1, 1, 2, 0))), other=conv(3)
    ),
    "zeros around a maximum": lambda: layer(
        nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.ZeroPad2d((2, 0, 1, 1)), conv(3))
    ),
    "nearest neighbour": lambda: formula(
        lambda self, x: F.interpolate(self.other(x), scale_factor=2), other=conv(2, stride=2)
    ),
    "bilinear": lambda: layer(
        nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"))
    ),
    "bilinear of colours": lambda: formula(
        lambda self, x: torch.cat(
            [F.interpolate(self.pool(x[:, :3]), scale_factor=(2, 2), mode="bilinear")] * 4, 1
        ),
        pool=nn.AvgPool2d(2),
    ),
}


@pytest.fixture(params=list(OPERATORS))
def small(request: pytest.FixtureRequest) -> SRModel:
    return OPERATORS[request.param]().eval()


@pytest.fixture(scope="session")
def crop(low_res: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo of even height and width, ``(40, 52, 3)``."""
    return low_res[:40, :52]


def tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def levels_apart(
    quantized: QuantizedGraph, content: bytes, image: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Distance of a file's picture from that of the fake-quantised graph, in levels."""
    with torch.no_grad():
        fake = quantized.run(tensor(image)).permute(0, 2, 3, 1).mul(255).numpy()
    runtime = ONNXRuntime if content[4:8] != b"TFL3" else LiteRTRuntime
    step = 255 * quantized.activations[quantized.graph.output].scale
    apart: NDArray[np.float32] = np.abs(runtime(content).predict(image[None]) - fake) / step
    return apart


def test_operator_makes_the_same_picture_in_floating_point(
    small: SRModel, crop: NDArray[np.uint8]
) -> None:
    graph = trace(small)
    expected = TorchRuntime(small).predict(crop[None])
    assert expected.std() > 5
    file = LiteRTRuntime(float_model(graph))
    assert np.abs(file.predict(crop[None]) - expected).max() < 2e-3
    assert file.radius == receptive_radius(graph)
    if importlib.util.find_spec("onnxruntime"):
        made = ONNXRuntime(onnx_model(graph))
        assert np.abs(made.predict(crop[None]) - expected).max() < 2e-3
        assert made.radius == receptive_radius(graph)


@pytest.mark.parametrize("per_channel", [True, False])
def test_operator_in_int8_is_what_the_fake_quantised_graph_says(
    small: SRModel, crop: NDArray[np.uint8], per_channel: bool
) -> None:
    mode = PostTraining(per_channel=per_channel, output_type="int8")
    quantized = mode.quantize(trace(small), tensor(crop))
    apart = levels_apart(quantized, int8_model(quantized), crop)
    assert apart.max() < 1.01
    assert (apart < 0.01).mean() >= 0.999
    if importlib.util.find_spec("onnxruntime"):
        apart = levels_apart(quantized, onnx_model(quantized), crop)
        assert (apart < 1.01).mean() >= 0.999


def test_operator_in_int8_is_close_to_the_network(small: SRModel, crop: NDArray[np.uint8]) -> None:
    expected = TorchRuntime(small).predict(crop[None])
    mode = PostTraining(output_type="float32")
    made = LiteRTRuntime(int8_model(mode.quantize(trace(small), tensor(crop)))).predict(crop[None])
    noise = np.square(made - expected).mean()
    assert 10 * np.log10(expected.var() / noise) > 23  # dB


def test_gradients_pass_through_the_rounding(small: SRModel, crop: NDArray[np.uint8]) -> None:
    quantized = PostTraining().quantize(trace(small), tensor(crop))
    target = torch.rand(1, 3, 80, 104, generator=torch.Generator().manual_seed(0))
    gradients = []
    for run in (small, quantized.run):
        small.zero_grad()
        (run(tensor(crop)) - target).square().mean().backward()
        found = [parameter.grad for parameter in small.parameters()]
        assert all(gradient is not None for gradient in found)
        gradients.append(
            torch.cat([gradient.flatten() for gradient in found if gradient is not None])
        )
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


def operators(content: bytes) -> list[str]:
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if key.isupper()}
    model = schema.ModelT.InitFromPackedBuf(content)
    codes = [names[code.builtinCode] for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leaky relu 0.05", ["LEAKY_RELU"]),
        ("prelu with one slope", ["LEAKY_RELU"]),
        ("prelu with slopes", ["PRELU"]),
        ("silu", ["LOGISTIC", "MUL", "CONV_2D"]),
        ("hardsigmoid", []),
        ("constants", []),
        ("zeros around", ["PAD", "CONV_2D"]),
        ("relu of what is joined", ["DEPTHWISE_CONV_2D", "CONCATENATION", "MAXIMUM", "CONV_2D"]),
        ("channel attention", ["MEAN", "CONV_2D", "LOGISTIC", "MUL", "CONV_2D"]),
        ("deviation", ["MEAN", "SUB", "MUL", "MEAN", "SQRT", "MUL", "CONV_2D"]),
        ("dilation", ["CONV_2D"]),
    ],
)
def test_operator_becomes_what_litert_is_fast_at(
    name: str, expected: list[str], crop: NDArray[np.uint8]
) -> None:
    quantized = PostTraining().quantize(trace(OPERATORS[name]()), tensor(crop))
    found = [kind for kind in operators(int8_model(quantized)) if kind != "QUANTIZE"]
    assert found[0] == "CONV_2D"
    assert found[-1] == "DEPTH_TO_SPACE"
    # A last CONV_2D puts channels into the order of depth-to-space.
    assert found[1:-1] == expected


@pytest.mark.parametrize(
    ("name", "scale", "zero_point"), [("sigmoid", 1 / 256, -128), ("tanh", 1 / 128, 0)]
)
def test_curve_has_the_levels_that_the_specification_wants(
    name: str, scale: float, zero_point: int, crop: NDArray[np.uint8]
) -> None:
    mode = PostTraining(output_type="int8")
    quantized = mode.quantize(trace(OPERATORS[name]()), tensor(crop))
    details = Interpreter(model_content=int8_model(quantized)).get_output_details()[0]
    assert details["quantization"] == (scale, zero_point)


@pytest.mark.parametrize("write", ["float", "int8", "onnx", "onnx int8"])
def test_mean_is_over_pictures_of_any_size(write: str, low_res: NDArray[np.uint8]) -> None:
    network = OPERATORS["contrast attention"]().eval()
    graph = trace(network)
    quantized = PostTraining(output_type="float32").quantize(graph, tensor(low_res))
    if "onnx" in write:
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    content = {
        "float": partial(float_model, graph),
        "int8": partial(int8_model, quantized),
        "onnx": partial(onnx_model, graph),
        "onnx int8": partial(onnx_model, quantized),
    }[write]()
    runtime = ONNXRuntime(content) if "onnx" in write else LiteRTRuntime(content)
    for height, width in ((20, 30), (60, 84), (9, 7)):
        image = low_res[:height, :width]
        expected = TorchRuntime(network).predict(image[None])
        if "int8" in write:
            with torch.no_grad():
                expected = quantized.run(tensor(image)).permute(0, 2, 3, 1).mul(255).numpy()
        step = 255 * quantized.activations[graph.output].scale if "int8" in write else 2e-3
        assert np.abs(runtime.predict(image[None]) - expected).max() < 1.01 * step


def test_pooled_tensor_keeps_its_size_when_the_input_is_resized(crop: NDArray[np.uint8]) -> None:
    quantized = PostTraining().quantize(trace(OPERATORS["channel attention"]()), tensor(crop))
    model = schema.ModelT.InitFromPackedBuf(int8_model(quantized))
    signatures = {
        tuple(tensor.shape.tolist()): tensor.shapeSignature
        for tensor in model.subgraphs[0].tensors
        if len(tensor.shape) == 4 and tensor.shape[1] in (1, 360)
    }
    assert signatures[1, 360, 640, CHANNELS].tolist() == [1, -1, -1, CHANNELS]
    assert signatures[1, 1, 1, CHANNELS] is None


def test_pictures_of_a_batch_have_their_own_means(low_res: NDArray[np.uint8]) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    import onnxruntime

    network = OPERATORS["contrast attention"]().eval()
    session = onnxruntime.InferenceSession(onnx_model(trace(network)))
    batch = torch.cat([tensor(low_res[:20, :20]), tensor(low_res[40:60, 60:80])])
    (made,) = session.run(None, {"low_res": batch.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(made, network(batch).numpy(), atol=1e-5)


def test_clip_acts_on_a_range_that_lies_beyond_it(crop: NDArray[np.uint8]) -> None:
    # All values are negative: zero is the highest level, and a ReLU has work at every pixel.
    def forward(self: Any, x: Tensor) -> Tensor:
        y = -x.relu()
        return torch.cat([y[:, :6], y[:, 6:].relu()], 1)

    quantized = PostTraining(output_type="int8").quantize(trace(formula(forward)), tensor(crop))
    content = int8_model(quantized)
    assert "MAXIMUM" in operators(content)
    assert levels_apart(quantized, content, crop).max() < 1.01
