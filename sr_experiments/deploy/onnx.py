"""A graph as an ONNX file in FP32, with any batch, height and width.

ONNX has no symmetric padding; it is written as slices that run backwards and a concatenation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_experiments.errors import UserError
from sr_experiments.quantization.graph import (
    Add,
    Bounds,
    Clip,
    Concat,
    Conv,
    DepthToSpace,
    Gather,
    Graph,
    Input,
    Node,
    PReLU,
    SymmetricPad,
    receptive_radius,
)

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # the oldest that holds opset 17, so that older runtimes read the file
PRODUCER = "sr_experiments"
RADIUS_KEY = "receptive_radius"
HEIGHT_AXIS, WIDTH_AXIS = 2, 3
BEFORE_THE_START = -(2**31)


@torch.no_grad()
def onnx_model(graph: Graph) -> bytes:
    """Write the FP32 file.

    Args:
        graph: A traced network.

    Returns:
        A file that maps ``low_res`` ``(N, 3, H, W)`` float32 in [0, 1] to ``prediction``
        ``(N, 3, scale * H, scale * W)``.

    Raises:
        UserError: If onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise UserError("ONNX needs: pip install 'sr_experiments[onnx]'") from error
    writer = _Writer()
    for node in graph.nodes:
        writer.write(node)
    writer.operator("Identity", [writer.names[graph.output]], "prediction")
    onnx_graph = helper.make_graph(
        writer.operators,
        "main",
        [helper.make_tensor_value_info("low_res", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", 3, "sh", "sw"])],
        writer.constants,
    )
    model = helper.make_model(
        onnx_graph,
        producer_name=PRODUCER,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, {RADIUS_KEY: str(receptive_radius(graph))})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """Turns nodes into operators; ``names`` holds the name of each node's tensor."""

    def __init__(self) -> None:
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

    def write(self, node: Node) -> None:
        """Add the operators of one node."""
        sources = [self.names[name] for name in node.inputs]
        if isinstance(node, Input):
            made = "low_res"
        elif isinstance(node, Conv):
            made = self.clipped(self.conv(node, sources[0]), node.bounds)
        elif isinstance(node, Add):
            made = self.clipped(self.operator("Add", sources), node.bounds)
        elif isinstance(node, Clip):
            made = self.clipped(sources[0], node.bounds)
        elif isinstance(node, PReLU):
            slope = self.constant(_float(node.slope()).reshape(-1, 1, 1))
            made = self.operator("PRelu", [*sources, slope])
        elif isinstance(node, Concat):
            made = self.operator("Concat", sources, axis=1)
        elif isinstance(node, Gather):
            made = self.gather(node, sources[0])
        elif isinstance(node, DepthToSpace):
            made = self.operator("DepthToSpace", sources, blocksize=node.block, mode="DCR")
        elif isinstance(node, SymmetricPad):
            made = self.mirrored(sources[0], node.pad, HEIGHT_AXIS)
            made = self.mirrored(made, node.pad, WIDTH_AXIS)
        else:
            raise TypeError(f"{type(node).__name__} has no ONNX operator")
        self.names[node.name] = made

    def conv(self, node: Conv, source: str) -> str:
        """Add a convolution."""
        weight, bias = node.kernel()
        top, bottom, left, right = node.padding
        return self.operator(
            "Conv",
            [source, self.constant(_float(weight)), self.constant(_float(bias))],
            group=node.groups,
            strides=[node.stride] * 2,
            pads=[top, left, bottom, right],
        )

    def clipped(self, source: str, bounds: Bounds) -> str:
        """Add a clip where there is one."""
        low, high = bounds.low, bounds.top
        if low is None and high is None:
            return source
        if low == 0 and high is None:
            return self.operator("Relu", [source])
        ends = [
            "" if end is None else self.constant(np.array(end, np.float32)) for end in (low, high)
        ]
        return self.operator("Clip", [source, *ends])

    def gather(self, node: Gather, source: str) -> str:
        """Add a choice of channels."""
        index = self.constant(np.array(node.index, np.int64))
        return self.operator("Gather", [source, index], axis=1)

    def mirrored(self, source: str, pad: int, axis: int) -> str:
        """Add ``pad`` mirrored pixels before and after along one axis."""
        before = self.backwards(source, pad - 1, BEFORE_THE_START, axis)
        after = self.backwards(source, -1, -pad - 1, axis)
        return self.operator("Concat", [before, source, after], axis=axis)

    def backwards(self, source: str, first: int, end: int, axis: int) -> str:
        """Add a slice that runs from ``first`` down to just above ``end``."""
        limits = [self.constant(np.array([value], np.int64)) for value in (first, end, axis, -1)]
        return self.operator("Slice", [source, *limits])


def _float(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().float().numpy()
