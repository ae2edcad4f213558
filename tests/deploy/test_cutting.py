"""A file that was cut into its operators computes what it did in one piece."""

from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.deploy.cutting import cut_operators
from sr_experiments.deploy.tflite import float_model, half_model, int8_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import PostTraining, trace

HEIGHT, WIDTH = 20, 28


def written(model: SRModel, kind: str, calibration: Tensor) -> bytes:
    graph = trace(model)
    if kind == "int8":
        return int8_model(PostTraining().quantize(graph, calibration))
    return (float_model if kind == "fp32" else half_model)(graph)


@pytest.mark.parametrize("kind", ["int8", "fp32", "fp16"])
@pytest.mark.parametrize("name", ["xlsr", "fsrcnn", "edsr_x4", "xlsr_depthwise"])
def test_operators_one_after_the_other_are_the_whole_file(
    network: Callable[[str], SRModel],
    low_res: NDArray[np.uint8],
    calibration: Tensor,
    name: str,
    kind: str,
) -> None:
    content = written(network(name), kind, calibration)
    whole = Interpreter(model_content=content)
    (source,), (result,) = whole.get_input_details(), whole.get_output_details()
    whole.resize_tensor_input(source["index"], (1, HEIGHT, WIDTH, 3))
    whole.allocate_tensors()
    picture = low_res[None, :HEIGHT, :WIDTH].astype(np.float32) / (1 if kind == "int8" else 255)
    values = {source["index"]: picture.astype(source["dtype"])}
    whole.set_tensor(source["index"], values[source["index"]])
    whole.invoke()
    numbers = []
    for file in cut_operators(content, HEIGHT, WIDTH):
        numbers.append(file.number)
        alone = Interpreter(model_content=file.content)
        alone.allocate_tensors()
        for details, tensor in zip(alone.get_input_details(), file.reads, strict=True):
            alone.set_tensor(details["index"], values[tensor])
        alone.invoke()
        for details, tensor in zip(alone.get_output_details(), file.makes, strict=True):
            values[tensor] = alone.get_tensor(details["index"])
    assert numbers == sorted(set(numbers))
    expected = whole.get_tensor(result["index"])
    if kind == "int8":
        assert np.array_equal(values[result["index"]], expected)
    else:  # XNNPACK fuses a clip into the convolution before it, and may round otherwise
        assert np.abs(values[result["index"]] - expected).max() < 1e-5
