"""Float16 weights: half the bytes, and the arithmetic of the rounded weights."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from sr_experiments.deploy.runtimes import LiteRTRuntime, TorchRuntime
from sr_experiments.deploy.tflite import float_model, half_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import trace


def rounded(model: SRModel) -> SRModel:
    """The network with every weight rounded to float16."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.half())
    return twin


@pytest.mark.parametrize("name", ["xlsr", "abpn", "fsrcnn"])
def test_file_computes_the_network_with_rounded_weights(
    name: str, network: Callable[[str], SRModel], low_res: NDArray[np.uint8]
) -> None:
    model = network(name)
    made = LiteRTRuntime(half_model(trace(model))).predict(low_res[None])
    expected = TorchRuntime(rounded(model)).predict(low_res[None])
    np.testing.assert_allclose(made, expected, atol=2e-3)
    assert np.abs(made - TorchRuntime(model).predict(low_res[None])).max() > 2e-3


def test_file_is_half_as_large_and_widens_every_weight(xlsr: SRModel) -> None:
    graph = trace(xlsr)
    half, whole = half_model(graph), float_model(graph)
    assert len(half) < 0.62 * len(whole)
    (subgraph,) = (model := schema.ModelT.InitFromPackedBuf(half, 0)).subgraphs
    read = [op for op in subgraph.operators if _code(model, op) == schema.BuiltinOperator.CONV_2D]
    made = {
        int(op.outputs[0]): subgraph.tensors[op.inputs[0]].type
        for op in subgraph.operators
        if _code(model, op) == schema.BuiltinOperator.DEQUANTIZE
    }
    assert len(read) > 10
    for op in read:
        for constant in op.inputs[1:]:
            assert made[int(constant)] == schema.TensorType.FLOAT16


def test_plain_kernels_run_it_as_xnnpack_does(xlsr: SRModel, low_res: NDArray[np.uint8]) -> None:
    content = half_model(trace(xlsr), *low_res.shape[:2], resizable=False)
    pictures = []
    for kind in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
        image = low_res[None].astype(np.float32) / 255
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        pictures.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_allclose(*pictures, atol=1e-5)


def test_torch_computes_in_half_precision_on_a_copy(
    xlsr: SRModel, low_res: NDArray[np.uint8]
) -> None:
    runtime = TorchRuntime(xlsr, half=True)
    made, exact = runtime.predict(low_res[None]), TorchRuntime(xlsr).predict(low_res[None])
    assert {p.dtype for p in runtime.model.parameters()} == {torch.float16}
    assert {p.dtype for p in xlsr.parameters()} == {torch.float32}
    error = np.abs(made - exact).max()
    assert 0.01 < error < 2  # of 255: float16 has 11 bits


def _code(model: Any, operator: Any) -> int:
    return int(model.operatorCodes[operator.opcodeIndex].builtinCode)
