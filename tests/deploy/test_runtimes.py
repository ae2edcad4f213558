"""Files as third parties make them: fixed sizes, all types at the ends, [0, 1] and 0..255."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.schema_py_generated import (
    BuiltinOperator,
    ConcatenationOptionsT,
    Conv2DOptionsT,
    DepthToSpaceOptionsT,
    MaximumMinimumOptionsT,
    Padding,
)
from numpy.typing import NDArray

from sr_experiments.deploy import flatbuffer
from sr_experiments.deploy.flatbuffer import FlatModel, Quantization
from sr_experiments.deploy.runtimes import (
    LiteRTRuntime,
    ONNXRuntime,
    TorchRuntime,
    open_runtime,
    to_uint8,
)
from sr_experiments.deploy.tflite import float_model
from sr_experiments.errors import UserError
from sr_experiments.models import XLSR, SRModel, save_model
from sr_experiments.quantization import trace

HEIGHT, WIDTH = 12, 20


@pytest.fixture(autouse=True)
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files do not carry our mark, so their units must be found out."""
    monkeypatch.setattr(flatbuffer, "DESCRIPTION", "made by others")


@pytest.fixture
def image(low_res: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return low_res[None, :HEIGHT, :WIDTH]


def nearest(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return image.repeat(scale, 1).repeat(scale, 2)


def params(white: float, zero_point: int) -> Quantization:
    return Quantization(np.array([white / 255], np.float32), np.array([zero_point], np.int64))


def integer_file(dtype: Any, white: float, resizable: bool = False) -> bytes:
    """Nearest neighbour x3 in int8, with the type at both ends and the value of white given."""
    flat = FlatModel()
    inner = params(white, -128)
    signed = np.dtype(np.int8)

    def tensor(scale: int, channels: int, dtype: Any, quantization: Quantization) -> int:
        shape = (1, HEIGHT * scale, WIDTH * scale, channels)
        return flat.activation(shape, np.dtype(dtype), quantization, resizable)

    zero_point = 0 if dtype == np.uint8 else -128
    ends = (
        tensor(1, 3, dtype, params(white, zero_point)),
        tensor(3, 3, dtype, params(white, zero_point)),
    )
    first, stacked, last = (
        tensor(1, 3, signed, inner),
        tensor(1, 27, signed, inner),
        tensor(3, 3, signed, inner),
    )
    flat.operator(BuiltinOperator.QUANTIZE, 1, [ends[0]], first)
    options = ConcatenationOptionsT(axis=3)
    flat.operator(BuiltinOperator.CONCATENATION, 2, [first] * 9, stacked, options)
    options = DepthToSpaceOptionsT(blockSize=3)
    flat.operator(BuiltinOperator.DEPTH_TO_SPACE, 1, [stacked], last, options)
    flat.operator(BuiltinOperator.QUANTIZE, 1, [last], ends[1])
    return flat.finish(*ends)


def float_file(white: float) -> bytes:
    """Nearest neighbour x2 in float32, mixed with a quarter of grey and clipped at white."""
    flat = FlatModel()
    kind = np.dtype(np.float32)
    weight = np.zeros((12, 1, 1, 3), np.float32)
    weight[np.arange(12), 0, 0, np.arange(12) % 3] = 0.75

    def tensor(scale: int, channels: int) -> int:
        shape = (1, HEIGHT * scale, WIDTH * scale, channels)
        return flat.activation(shape, kind, None, resizable=False)

    source, mixed, clipped, result = tensor(1, 3), tensor(1, 12), tensor(1, 12), tensor(2, 3)
    constants = [flat.constant(weight), flat.constant(np.full(12, white / 8, np.float32))]
    options: Any = Conv2DOptionsT(padding=Padding.SAME, strideH=1, strideW=1)
    flat.operator(BuiltinOperator.CONV_2D, 1, [source, *constants], mixed, options)
    limit = flat.constant(np.array([white], np.float32))
    options = MaximumMinimumOptionsT()
    flat.operator(BuiltinOperator.MINIMUM, 1, [mixed, limit], clipped, options)
    options = DepthToSpaceOptionsT(blockSize=2)
    flat.operator(BuiltinOperator.DEPTH_TO_SPACE, 1, [clipped], result, options)
    return flat.finish(source, result)


@pytest.mark.parametrize("white", [1.0, 255.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integer_files_give_back_every_pixel_value(
    image: NDArray[np.uint8], dtype: Any, white: float
) -> None:
    runtime = LiteRTRuntime(integer_file(dtype, white))
    assert runtime.input_size == (HEIGHT, WIDTH)
    assert runtime.scale == 3
    assert np.array_equal(runtime.predict(image), nearest(image, 3).astype(np.float32))


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_units_of_float_files_are_found_out(image: NDArray[np.uint8], white: float) -> None:
    runtime = LiteRTRuntime(float_file(white))
    assert runtime.scale == 2
    expected = 0.75 * nearest(image, 2).astype(np.float32) + 255 / 8
    np.testing.assert_allclose(runtime.predict(image), expected, atol=1e-3)


def test_signature_without_a_size_makes_a_file_resizable(low_res: NDArray[np.uint8]) -> None:
    runtime = LiteRTRuntime(integer_file(np.uint8, 255.0, resizable=True))
    assert runtime.input_size is None
    batch = np.stack([low_res, low_res[:, ::-1]])
    assert np.array_equal(runtime.predict(batch), nearest(batch, 3).astype(np.float32))


def test_image_of_another_size_is_refused_by_a_fixed_file(low_res: NDArray[np.uint8]) -> None:
    runtime = LiteRTRuntime(integer_file(np.uint8, 255.0))
    with pytest.raises(UserError, match="fixed to 12x20, not 60x84"):
        runtime.predict(low_res[None])


def test_foreign_network_in_float_is_understood(xlsr: SRModel, low_res: NDArray[np.uint8]) -> None:
    made = LiteRTRuntime(float_model(trace(xlsr))).predict(low_res[None])
    assert np.abs(made - TorchRuntime(xlsr).predict(low_res[None])).max() < 0.01


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tflite", b"", "no TFLite file; copy it again"),
        ("a.tflite", b"    TFL3" + bytes(64), "cannot be run by LiteRT"),
        ("a.onnx", b"nonsense", "cannot be run by ONNX Runtime"),
        ("a.pt", b"", "nothing runs a .pt file"),
    ],
)
def test_damaged_and_unknown_files_are_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_runtime(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.tflite cannot be read"):
        open_runtime(tmp_path / "gone.tflite")


def test_files_are_opened_by_their_suffix(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    model = XLSR().eval()
    weights = tmp_path / "model.safetensors"
    save_model(model, {"_target_": "sr_experiments.models.XLSR"}, weights)
    runtime = open_runtime(weights)
    assert isinstance(runtime, TorchRuntime)
    assert np.array_equal(runtime.predict(image), TorchRuntime(model).predict(image))
    tflite = tmp_path / "model.tflite"
    tflite.write_bytes(integer_file(np.int8, 1.0))
    opened = open_runtime(tflite, threads=1)
    assert isinstance(opened, LiteRTRuntime)
    assert opened.threads == 1
    assert opened.name == "litert int8"


def test_onnx_in_other_units_is_found_out(image: NDArray[np.uint8]) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    size = [1, 3, HEIGHT, WIDTH]
    nodes = [
        helper.make_node("Mul", ["x", "gain"], ["darker"]),
        helper.make_node("Add", ["darker", "grey"], ["mixed"]),
        helper.make_node("Concat", ["mixed"] * 4, ["stacked"], axis=1),
        helper.make_node("DepthToSpace", ["stacked"], ["y"], blocksize=2, mode="DCR"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", float32, size)],
        [helper.make_tensor_value_info("y", float32, None)],
        [
            onnx.numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("gain", 0.75), ("grey", 255 / 8))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    runtime = ONNXRuntime(model.SerializeToString())
    assert (runtime.scale, runtime.input_size) == (2, (HEIGHT, WIDTH))
    expected = 0.75 * nearest(image, 2).astype(np.float32) + 255 / 8
    np.testing.assert_allclose(runtime.predict(image), expected, atol=1e-3)


def test_halves_are_rounded_up_and_the_ends_clipped() -> None:
    values = np.array([-7.2, -0.5, 0.49, 0.5, 2.5, 254.5, 260.0], np.float32)
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 3, 255, 255]


def test_runtimes_are_imported_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys, sr_experiments.deploy.tiling; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
