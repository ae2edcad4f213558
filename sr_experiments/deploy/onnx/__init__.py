"""A graph as an ONNX file with any batch, height and width: FP32, or INT8 as QDQ.

QDQ means operators in floating point between pairs of QuantizeLinear and DequantizeLinear, which
a runtime fuses into integer ones where it has them. The scales are those of the TFLite file, and
so are its int16 activations.
"""

from __future__ import annotations

import torch

from sr_experiments.errors import UserError
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Graph, receptive_radius

__all__ = ["onnx_model"]

# The oldest opset, and the oldest format that holds it, so that older runtimes read the file.
OPSET, IR_VERSION = 17, 8
INT16_OPSET, INT16_IR_VERSION = 21, 10  # from here on there are int16 levels
PRODUCER = "sr_experiments"
RADIUS_KEY = "receptive_radius"
INPUT, OUTPUT = "low_res", "prediction"


@torch.no_grad()
def onnx_model(network: Graph | QuantizedGraph) -> bytes:
    """Write the FP32 file of a traced network, or the INT8 file of a quantised one.

    Args:
        network: What to write; its kernels are those of the network as it is now.

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
    from sr_experiments.deploy.onnx.operators import write
    from sr_experiments.deploy.onnx.quantized import QuantizedWriter
    from sr_experiments.deploy.onnx.writer import Writer

    graph = network.graph if isinstance(network, QuantizedGraph) else network
    writer = QuantizedWriter(network) if isinstance(network, QuantizedGraph) else Writer(network)
    writer.names[graph.nodes[0].name] = writer.finished(graph.nodes[0], INPUT)
    for node in graph.nodes[1:]:
        writer.names[node.name] = writer.finished(node, write(node, writer))
    writer.operator("Identity", [writer.names[graph.output]], OUTPUT)
    onnx_graph = helper.make_graph(
        writer.operators,
        "main",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 3, "sh", "sw"])],
        writer.constants,
    )
    wide = isinstance(network, QuantizedGraph) and network.wide
    model = helper.make_model(
        onnx_graph,
        producer_name=PRODUCER,
        ir_version=INT16_IR_VERSION if wide else IR_VERSION,
        opset_imports=[helper.make_opsetid("", INT16_OPSET if wide else OPSET)],
    )
    radius = receptive_radius(graph)
    if radius is not None:
        helper.set_model_props(model, {RADIUS_KEY: str(radius)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content
