"""What the writers of all operators share: operators, constants, kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.quantization.graph import Conv, Graph, Node, PReLU

if TYPE_CHECKING:
    import onnx


class Writer:
    """Collects operators in FP32; ``names`` holds the name of each node's tensor.

    Args:
        graph: What is written.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operators: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}

    def operator(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its output."""
        from onnx import helper

        output = output or f"t{len(self.operators)}"
        self.operators.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        """Add numbers and return their name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def kernel(self, node: Conv) -> tuple[str, str]:
        """Names of weight and bias of a convolution."""
        weight, bias = node.kernel()
        return self.constant(as_float(weight)), self.constant(as_float(bias))

    def slope(self, node: PReLU) -> str:
        """Name of the slopes ``(C, 1, 1)``."""
        return self.constant(as_float(node.slope()).reshape(-1, 1, 1))

    def finished(self, node: Node, made: str) -> str:
        """Name of a node's tensor, given that of what its operators made."""
        return made


def as_float(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor as float32 on the CPU."""
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array
