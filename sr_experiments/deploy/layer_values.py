"""What LiteRT's integer kernels make in each node of a network, not only at its end."""

from __future__ import annotations

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from sr_experiments.deploy.tflite import transparent_model
from sr_experiments.quantization.fake import QuantizedGraph


def integer_values(quantized: QuantizedGraph, low_res: Tensor) -> dict[str, Tensor]:
    """Run the INT8 network on one image and keep every tensor.

    Args:
        quantized: A quantised graph.
        low_res: (1, 3, H, W) in [0, 1], whole pixel values.

    Returns:
        Numbers that the levels stand for, ``(1, C, h, w)``, by the name of the node.
    """
    first, *others = quantized.graph.nodes
    params = quantized.activations[first.name]
    levels = (low_res / params.scale).round() + params.zero_point
    image = levels.permute(0, 2, 3, 1).to(torch.int8).contiguous().numpy()
    content = transparent_model(quantized, *low_res.shape[2:])
    interpreter = Interpreter(model_content=content, num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    values = {first.name: (levels - params.zero_point) * params.scale}
    for node, details in zip(others, interpreter.get_output_details(), strict=True):
        made = interpreter.get_tensor(details["index"]).astype(np.float32)
        params = quantized.activations[node.name]
        tensor = torch.from_numpy(made).permute(0, 3, 1, 2)
        values[node.name] = (tensor - params.zero_point) * params.scale
    return values
