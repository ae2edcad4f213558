"""FP32 files on LiteRT and ONNX Runtime against PyTorch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, TorchRuntime
from sr_experiments.deploy.tflite import float_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import trace


def test_litert_makes_the_picture_that_pytorch_makes(
    model: SRModel, low_res: NDArray[np.uint8]
) -> None:
    expected = TorchRuntime(model).predict(low_res[None])
    made = LiteRTRuntime(float_model(trace(model))).predict(low_res[None])
    assert np.abs(made - expected).max() < 0.01  # of 255


def test_litert_agrees_at_any_size_after_a_resize(
    network: Callable[[str], SRModel], low_res: NDArray[np.uint8]
) -> None:
    model = network("fsrcnn")
    runtime = LiteRTRuntime(float_model(trace(model), height=9, width=8))
    for height, width in [(9, 8), (33, 20), (5, 60)]:
        image = low_res[None, :height, :width]
        expected = TorchRuntime(model).predict(image)
        assert np.abs(runtime.predict(image) - expected).max() < 0.01


def test_onnx_runtime_makes_the_picture_that_pytorch_makes(
    model: SRModel, low_res: NDArray[np.uint8]
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    runtime = ONNXRuntime(onnx_model(trace(model)))
    for image in (low_res, low_res[:17, :23]):
        expected = TorchRuntime(model).predict(image[None])
        assert np.abs(runtime.predict(image[None]) - expected).max() < 0.01


def test_onnx_file_is_valid_and_the_same_each_time(xlsr: SRModel) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    content = onnx_model(trace(xlsr))
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert content == onnx_model(trace(xlsr))


def test_unusual_wiring_makes_the_same_picture_everywhere(odd: SRModel) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    graph = trace(odd)
    image = np.random.default_rng(0).integers(0, 256, (1, 14, 18, 3), np.uint8)
    expected = TorchRuntime(odd).predict(image)
    assert expected.std() > 20
    for runtime in (LiteRTRuntime(float_model(graph)), ONNXRuntime(onnx_model(graph))):
        assert np.abs(runtime.predict(image) - expected).max() < 0.01


def test_size_can_be_fixed(xlsr: SRModel, tmp_path: Path, low_res: NDArray[np.uint8]) -> None:
    path = tmp_path / "fixed.tflite"
    path.write_bytes(float_model(trace(xlsr), height=60, width=84, resizable=False))
    runtime = LiteRTRuntime(path)
    assert runtime.input_size == (60, 84)
    expected = TorchRuntime(xlsr).predict(low_res[None])
    assert np.abs(runtime.predict(low_res[None]) - expected).max() < 0.01
