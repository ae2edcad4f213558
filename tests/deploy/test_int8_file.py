"""The INT8 file on LiteRT's kernels against the fake-quantised graph, and against arithmetic."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_experiments.deploy.parity import compare
from sr_experiments.deploy.runtimes import LiteRTRuntime, TorchRuntime, to_uint8
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import PostTraining, QuantizedGraph, trace
from sr_experiments.quantization.graph import Conv


def fake_picture(quantized: QuantizedGraph, low_res: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the fake-quantised graph says the uint8 file writes, as pixels."""
    image = torch.from_numpy(low_res).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        prediction = quantized.run(image)
    return to_uint8(prediction.permute(0, 2, 3, 1).mul(255).numpy())


@pytest.mark.parametrize("per_channel", [True, False])
def test_file_computes_what_the_fake_quantised_graph_does(
    model: SRModel, low_res: NDArray[np.uint8], calibration: Tensor, per_channel: bool
) -> None:
    quantized = PostTraining(per_channel=per_channel).quantize(trace(model), calibration)
    file = LiteRTRuntime(int8_model(quantized))
    parity = compare(to_uint8(file.predict(low_res[None])), fake_picture(quantized, low_res))
    assert parity.within_one >= 0.999
    assert parity.equal >= 0.97
    assert parity.psnr > 60


def test_file_is_close_to_the_network(model: SRModel, low_res: NDArray[np.uint8]) -> None:
    image = torch.from_numpy(low_res).permute(2, 0, 1)[None] / 255
    file = LiteRTRuntime(int8_model(PostTraining().quantize(trace(model), image)))
    made, expected = file.predict(low_res[None]), TorchRuntime(model).predict(low_res[None])
    assert compare(to_uint8(made), to_uint8(expected)).psnr > 44
    # A shift of the mean would be a mistake in a zero point or a bias.
    assert abs(made.mean() - expected.mean()) < 1.5


def test_mean_of_the_file_is_that_of_the_fake_quantised_graph(
    model: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    quantized = PostTraining().quantize(trace(model), calibration)
    made = to_uint8(LiteRTRuntime(int8_model(quantized)).predict(low_res[None]))
    assert abs(made.mean() - fake_picture(quantized, low_res).mean()) < 0.02


@pytest.mark.parametrize("per_channel", [True, False])
def test_unusual_wiring_agrees_too(odd: SRModel, per_channel: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (14, 18, 3), np.uint8)
    calibration = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    quantized = PostTraining(per_channel=per_channel).quantize(trace(odd), calibration)
    made = LiteRTRuntime(int8_model(quantized)).predict(image[None])
    parity = compare(to_uint8(made), fake_picture(quantized, image))
    assert parity.within_one >= 0.999
    expected = TorchRuntime(odd).predict(image[None])
    assert compare(to_uint8(made), to_uint8(expected)).psnr > 35


@pytest.mark.parametrize("kind", ["uint8", "int8", "float32"])
def test_types_at_the_ends_change_nothing_else(
    xlsr: SRModel, low_res: NDArray[np.uint8], calibration: Tensor, kind: Any
) -> None:
    graph = trace(xlsr)
    plain = int8_model(PostTraining().quantize(graph, calibration))
    other = int8_model(PostTraining(input_type=kind, output_type=kind).quantize(graph, calibration))
    details = Interpreter(model_content=other)
    assert details.get_input_details()[0]["dtype"] == np.dtype(kind)
    assert details.get_output_details()[0]["dtype"] == np.dtype(kind)
    expected = LiteRTRuntime(plain).predict(low_res[None])
    np.testing.assert_allclose(LiteRTRuntime(other).predict(low_res[None]), expected, atol=1e-4)


def test_borders_and_a_resized_input_of_the_transposed_convolution_agree(
    network: Callable[[str], SRModel], calibration: Tensor, low_res: NDArray[np.uint8]
) -> None:
    quantized = PostTraining().quantize(trace(network("fsrcnn")), calibration)
    file = LiteRTRuntime(int8_model(quantized, height=10, width=12))
    for height, width in [(10, 12), (17, 9), (40, 31)]:
        image = low_res[:height, :width]
        made, fake = to_uint8(file.predict(image[None])), fake_picture(quantized, image)
        whole = compare(made, fake)
        assert whole.within_one >= 0.999
        edges = np.ones(made.shape, bool)
        edges[:, 6:-6, 6:-6] = False
        assert compare(made[edges], fake[edges]).equal >= 0.97


def only_conv(**options: Any) -> SRModel:
    """A network of one convolution and a pixel shuffle by one."""

    class OneConv(SRModel):
        def __init__(self) -> None:
            super().__init__(2)
            self.scale = 1
            self.conv = nn.Conv2d(3, 3, **options)

        def forward(self, low_res: Tensor) -> Tensor:
            y: Tensor = self.conv(low_res)
            return y

    torch.manual_seed(3)
    return OneConv()


CONVS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "groups": 3},  # DEPTHWISE_CONV_2D
    {"kernel_size": 5, "padding": 2, "bias": False},
    {"kernel_size": 4, "padding": "same"},
]


def tensors_of(content: bytes) -> dict[int, dict[str, Any]]:
    interpreter = Interpreter(model_content=content)
    return {details["index"]: details for details in interpreter.get_tensor_details()}


def operators(content: bytes) -> Iterator[tuple[str, int, list[int], list[int]]]:
    """Name, version, inputs and outputs of each operator."""
    model = schema.ModelT.InitFromPackedBuf(content)
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if key.isupper()}
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        yield (
            names[code.builtinCode],
            code.version,
            operator.inputs.tolist(),
            operator.outputs.tolist(),
        )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("options", CONVS)
def test_convolution_equals_integer_arithmetic_done_by_hand(
    low_res: NDArray[np.uint8], options: dict[str, Any], per_channel: bool
) -> None:
    mode = PostTraining(per_channel=per_channel, input_type="int8", output_type="int8")
    image = torch.from_numpy(low_res).permute(2, 0, 1)[None] / 255
    content = int8_model(
        mode.quantize(trace(only_conv(**options)), image), *low_res.shape[:2], resizable=False
    )
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    pixels = (low_res.astype(np.int16) - 128).astype(np.int8)
    ((_, _, (source, weight, bias), (result,)),) = operators(content)
    interpreter.set_tensor(source, pixels[None])
    interpreter.invoke()

    # From here on only numbers of the file and NumPy.
    details = tensors_of(content)
    (s_in, z_in), (s_out, z_out) = (details[end]["quantization"] for end in (source, result))
    kernel = interpreter.get_tensor(weight).astype(np.int64)
    if "groups" in options:
        kernel = np.eye(3, dtype=np.int64)[:, None, None] * kernel.transpose(3, 1, 2, 0)
    scales = details[weight]["quantization_parameters"]["scales"]
    assert len(scales) == (3 if per_channel else 1)
    size = options["kernel_size"]
    before, after = (size - 1) // 2, size // 2
    inside = np.pad(pixels.astype(np.int64) - z_in, ((before, after), (before, after), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(inside, (size, size), (0, 1))
    sums = np.einsum("hwcyx,oyxc->hwo", windows, kernel) + interpreter.get_tensor(bias)
    factor = (np.float32(s_in) * scales).astype(np.float32) / np.float32(s_out)
    levels = np.rint(sums.astype(np.float32) * factor.astype(np.float32)).astype(np.int64) + z_out
    expected = levels.clip(-128, 127)
    assert np.abs(expected).max() > 60
    made = interpreter.get_tensor(result)[0]
    # XNNPACK multiplies by the same float32 factor but computes it in another order.
    assert (made == expected).mean() > 0.9999
    assert np.abs(made - expected).max() <= 1


def test_scales_in_the_file_are_ours_bit_for_bit(xlsr: SRModel, calibration: Tensor) -> None:
    mode = PostTraining(input_type="int8", output_type="int8")
    quantized = mode.quantize(trace(xlsr), calibration)
    content = int8_model(quantized)
    details = tensors_of(content)
    nodes = [node for node in quantized.graph.nodes if node.inputs]
    written = list(operators(content))
    assert len(nodes) == len(written)
    for node, (_, _, inputs, (output,)) in zip(nodes, written, strict=True):
        params = quantized.activations[node.name]
        assert details[output]["quantization"] == (np.float32(params.scale), params.zero_point)
        if isinstance(node, Conv):
            kernel = quantized.kernel(node)
            for position, scales in ((1, kernel.scales), (2, kernel.bias_scales)):
                found = details[inputs[position]]["quantization_parameters"]
                assert found["scales"].tobytes() == scales.numpy().tobytes()
                assert not found["zero_points"].any()
                assert found["quantized_dimension"] == 0


def test_output_that_the_network_clips_has_the_range_of_a_picture(
    xlsr: SRModel, calibration: Tensor
) -> None:
    content = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    details = Interpreter(model_content=content).get_output_details()[0]
    assert details["quantization"] == (np.float32(1 / 255), 0)
    names = [name for name, *_ in operators(content)]
    assert "MINIMUM" not in names
    assert names[-2:] == ["DEPTH_TO_SPACE", "QUANTIZE"]


def test_operators_have_the_versions_that_the_converter_gives_them(
    xlsr: SRModel, calibration: Tensor
) -> None:
    quantized = PostTraining().quantize(trace(xlsr), calibration)
    found = {(name, version) for name, version, *_ in operators(int8_model(quantized))}
    assert found == {
        ("QUANTIZE", 1),
        ("CONV_2D", 3),
        ("CONV_2D", 6),  # grouped
        ("CONCATENATION", 2),
        ("DEPTH_TO_SPACE", 1),
    }


def test_anchor_is_nine_times_the_input_in_one_concatenation(
    network: Callable[[str], SRModel], calibration: Tensor
) -> None:
    content = int8_model(PostTraining().quantize(trace(network("abpn")), calibration))
    (inputs,) = [inputs for name, _, inputs, _ in operators(content) if name == "CONCATENATION"]
    assert len(inputs) == 9
    assert len(set(inputs)) == 1


def test_clip_inside_a_shared_range_is_an_operator_of_its_own(
    network: Callable[[str], SRModel], calibration: Tensor
) -> None:
    content = int8_model(PostTraining().quantize(trace(network("clips")), calibration))
    names = [name for name, *_ in operators(content)]
    assert names.count("MINIMUM") == 2
    assert names.count("MAXIMUM") == 2  # one of them is a ReLU, which LiteRT is slow at
    assert "RELU" not in names


def test_xlsr_is_as_small_as_it_should_be(xlsr: SRModel, calibration: Tensor) -> None:
    quantized = PostTraining().quantize(trace(xlsr), calibration)
    content = int8_model(quantized)
    assert content[4:8] == b"TFL3"
    assert 33_000 < len(content) < 38_000  # 21,547 weights; DESIGN measured 37 KB
    assert len(int8_model(replace(quantized, per_channel=False))) < 30_000


def test_same_network_gives_the_same_bytes(xlsr: SRModel, calibration: Tensor) -> None:
    first = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    assert first == int8_model(PostTraining().quantize(trace(xlsr), calibration))


def test_graph_traced_once_follows_the_weights(
    low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    model = only_conv(kernel_size=3, padding=1)
    graph = trace(model)
    before = int8_model(PostTraining().quantize(graph, calibration))
    with torch.no_grad():
        next(model.parameters()).mul_(-0.5)
    after = int8_model(PostTraining().quantize(graph, calibration))
    assert after != before
    assert after == int8_model(PostTraining().quantize(trace(model), calibration))


def test_one_corrupted_weight_byte_changes_the_picture(
    xlsr: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    content = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    convs = [inputs for name, _, inputs, _ in operators(content) if name == "CONV_2D"]
    model = schema.Model.GetRootAs(content)
    # The skip reads the picture and has no ReLU, so none of its weights can be without effect.
    shapes = [tuple(model.Subgraphs(0).Tensors(weight).ShapeAsNumpy()) for _, weight, _ in convs]
    _, weight, _ = convs[shapes.index((16, 3, 3, 3))]
    buffer = model.Buffers(model.Subgraphs(0).Tensors(weight).Buffer())
    start = content.index(buffer.DataAsNumpy().tobytes())
    corrupted = bytearray(content)
    corrupted[start + 100] ^= 0x40
    expected = LiteRTRuntime(content).predict(low_res[None])
    made = LiteRTRuntime(bytes(corrupted)).predict(low_res[None])
    assert (made != expected).mean() > 0.01


def test_weights_lie_where_vector_loads_may_read_them(xlsr: SRModel, calibration: Tensor) -> None:
    content = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    model = schema.Model.GetRootAs(content)
    for position in range(1, model.BuffersLength()):
        start = model.Buffers(position)._tab.Vector(
            model.Buffers(position)._tab.Offset(4)  # field 0: data
        )
        assert start % 16 == 0


def test_layer_that_died_still_makes_a_file_that_runs(
    low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    model = only_conv(kernel_size=3, padding=1)
    with torch.no_grad():
        model.conv.weight.zero_()  # type: ignore[union-attr, operator]
        model.conv.bias.copy_(torch.tensor([0.5, 0.0, -0.25]))  # type: ignore[union-attr, operator]
    quantized = PostTraining().quantize(trace(model), calibration)
    made = LiteRTRuntime(int8_model(quantized)).predict(low_res[None])
    expected = np.array([0.5, 0.0, -0.25]) * 255
    step = 0.75  # of the output's range of 0.75 in 255 levels, in pixel values
    assert np.abs(made - expected).max() <= step / 2 + 1e-3
