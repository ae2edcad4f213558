"""Int16 activations: closer to floating point, and the file is the fake-quantised graph."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_experiments.deploy.layer_values import integer_values
from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.parity import compare
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, TorchRuntime, to_uint8
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.quantization import Int16Activations, PostTraining, QuantizedGraph, trace
from sr_experiments.quantization.graph import Conv
from sr_experiments.quantization.params import QParams

KIND, CODE = schema.TensorType, schema.BuiltinOperator


def picture(quantized: QuantizedGraph, low_res: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the fake-quantised graph makes."""
    image = torch.from_numpy(low_res).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return to_uint8(quantized.run(image).permute(0, 2, 3, 1).mul(255).numpy())


def test_file_and_onnx_are_the_fake_quantised_graph(
    model: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    quantized = Int16Activations().quantize(trace(model), calibration)
    fake = picture(quantized, low_res)
    parity = compare(to_uint8(LiteRTRuntime(int8_model(quantized)).predict(low_res[None])), fake)
    assert parity.within_one >= 0.999
    assert parity.equal >= 0.997
    if importlib.util.find_spec("onnxruntime"):
        made = to_uint8(ONNXRuntime(onnx_model(quantized)).predict(low_res[None]))
        # Its sums are not multiplied by factors of 15 digits as LiteRT's are.
        assert compare(made, fake).psnr > 55


def test_file_is_closer_to_the_network_than_int8(
    model: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    exact = TorchRuntime(model).predict(low_res[None])
    noise = []
    for mode in (Int16Activations(), PostTraining()):
        quantized = mode.quantize(trace(model), calibration)
        made = LiteRTRuntime(int8_model(quantized)).predict(low_res[None])
        noise.append(np.square(made - exact.clip(0, 255)).mean())
    assert noise[0] < noise[1] * 1.02  # kernels, and the picture that leaves, stay int8


@pytest.mark.parametrize("name", ["xlsr", "abpn"])
def test_deep_networks_win_decibels(
    name: str, network: Callable[[str], SRModel], low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    exact = to_uint8(TorchRuntime(network(name)).predict(low_res[None]))
    wide, narrow = (
        compare(picture(mode.quantize(trace(network(name)), calibration), low_res), exact).psnr
        for mode in (Int16Activations(), PostTraining())
    )
    assert wide > narrow + 1


def test_convolution_equals_integer_arithmetic_done_by_hand(
    network: Callable[[str], SRModel], low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    model = network("espcn")
    quantized = Int16Activations().quantize(trace(model), calibration)
    image = torch.from_numpy(low_res).permute(2, 0, 1)[None].float() / 255
    made = integer_values(quantized, image)
    first, second = [node for node in quantized.graph.nodes if isinstance(node, Conv)][:2]
    source, result = (quantized.activations[name] for name in (first.name, second.name))
    assert second.inputs == (first.name,)
    levels = np.rint(made[first.name][0].double().numpy() / source.scale).astype(np.int64)
    assert np.abs(levels).max() > 128

    weight, bias = (tensor.detach().double().numpy() for tensor in second.kernel())
    scales = np.abs(weight).max((1, 2, 3)) / 127
    kernel = np.rint(weight / scales[:, None, None, None]).astype(np.int64)
    offset = np.rint(bias / (scales * source.scale)).astype(np.int64)
    row, column = 20, 30
    window = levels[:, row - 1 : row + 2, column - 1 : column + 2]
    sums = (kernel * window).sum((1, 2, 3)) + offset
    expected = np.maximum(sums * (scales * source.scale / result.scale), 0)
    found = made[second.name][0, :, row, column].double().numpy() / result.scale
    # The factor has 15 binary digits.
    assert np.all(np.abs(found - expected) <= 0.51 + 2.0**-15 * expected)
    assert expected.max() > 1000


def test_activations_are_int16_up_to_depth_to_space(
    network: Callable[[str], SRModel], calibration: Tensor
) -> None:
    types, biases = operators(Int16Activations().quantize(trace(network("xlsr")), calibration))
    assert types[:2] == [
        (CODE.QUANTIZE, KIND.UINT8, KIND.INT8),
        (CODE.QUANTIZE, KIND.INT8, KIND.INT16),
    ]
    assert all(pair[1:] == (KIND.INT16, KIND.INT16) for pair in types[2:-3])
    assert types[-3:] == [
        (CODE.QUANTIZE, KIND.INT16, KIND.INT8),
        (CODE.DEPTH_TO_SPACE, KIND.INT8, KIND.INT8),
        (CODE.QUANTIZE, KIND.INT8, KIND.UINT8),
    ]
    assert biases == {KIND.INT64}


class Early(SRModel):
    """Goes on computing at the size of the output."""

    def __init__(self) -> None:
        super().__init__(2)
        self.head = nn.Conv2d(3, 12, 3, padding=1)
        self.up = nn.PixelShuffle(2)
        self.curve = nn.Sigmoid()
        self.tail = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, low_res: Tensor) -> Tensor:
        x = self.up(self.head(low_res))
        y: Tensor = self.tail(torch.cat([x, self.curve(x)], 1))
        return y


def test_depth_to_space_in_the_middle_is_int8_and_int16_goes_on_behind_it(
    calibration: Tensor, low_res: NDArray[np.uint8]
) -> None:
    torch.manual_seed(0)
    quantized = Int16Activations().quantize(trace(Early()), calibration)
    types, _ = operators(quantized)
    shuffle = [place for place, (code, *_) in enumerate(types) if code == CODE.DEPTH_TO_SPACE]
    assert len(shuffle) == 1
    assert types[shuffle[0] - 1] == (CODE.QUANTIZE, KIND.INT16, KIND.INT8)
    assert types[shuffle[0] + 1] == (CODE.QUANTIZE, KIND.INT8, KIND.INT16)
    assert types[-2] == (CODE.QUANTIZE, KIND.INT16, KIND.INT8)
    assert (CODE.CONV_2D, KIND.INT16, KIND.INT16) in types[shuffle[0] :]
    # The levels of a sigmoid are given; beside others it gets new ones.
    assert quantized.activations["curve"] == QParams(1 / 32768, 0, 16)
    made = to_uint8(LiteRTRuntime(int8_model(quantized)).predict(low_res[None]))
    assert compare(made, picture(quantized, low_res)).equal >= 0.999


def test_what_has_no_int16_kernel_is_refused_by_name(calibration: Tensor) -> None:
    class Curved(Early):
        def __init__(self) -> None:
            super().__init__()
            self.curve = nn.ELU()

    with pytest.raises(UserError, match="int16x8: elu at curve has no int16 kernel; use ReLU"):
        Int16Activations().quantize(trace(Curved()), calibration)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_channel": False}, "per_channel=false"),
        ({"symmetric": False}, "symmetric=false"),
        ({"observer": "mse"}, "observer=mse"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Int16Activations(**options)


def operators(quantized: QuantizedGraph) -> tuple[list[tuple[int, int, int]], set[int]]:
    """Code and types of every operator of the file, and the types of the biases."""
    model = schema.ModelT.InitFromPackedBuf(int8_model(quantized), 0)
    (subgraph,) = model.subgraphs
    types = []
    biases = set()
    for operator in subgraph.operators:
        code = int(model.operatorCodes[operator.opcodeIndex].builtinCode)
        ends = operator.inputs[0], operator.outputs[0]
        source, result = (int(subgraph.tensors[index].type) for index in ends)
        types.append((code, source, result))
        if code == CODE.CONV_2D:
            biases.add(int(subgraph.tensors[operator.inputs[2]].type))
    return types, biases
