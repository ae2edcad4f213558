"""A graph as a TFLite file, written directly.

The stock converter makes reshapes and transposes of a pixel shuffle and long names of everything;
here each node becomes the one operator it is.
"""

from __future__ import annotations

import torch

from sr_experiments.deploy.encoding import FloatEncoding, HalfEncoding, Int8Encoding
from sr_experiments.deploy.tflite.operators import write
from sr_experiments.deploy.tflite.writer import Writer
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Graph

__all__ = ["float_model", "half_model", "int8_model", "transparent_model"]


@torch.no_grad()
def float_model(graph: Graph, height: int = 360, width: int = 640, resizable: bool = True) -> bytes:
    """Write the FP32 file.

    Args:
        graph: A traced network.
        height: Of the low-resolution input, in pixels.
        width: Of the input.
        resizable: Leave height and width open; the given ones are where a runtime starts.

    Returns:
        A file that maps ``(1, H, W, 3)`` float32 in [0, 1] to ``(1, scale * H, scale * W, 3)``.
    """
    writer = Writer(graph, FloatEncoding(), height, width, resizable)
    return writer.file(write, "float32", "float32")


@torch.no_grad()
def half_model(graph: Graph, height: int = 360, width: int = 640, resizable: bool = True) -> bytes:
    """Write the file whose weights are float16, half as large as `float_model`'s.

    As the stock converter has it: a DEQUANTIZE widens each constant. CPUs then compute in
    float32; GPU and NPU drivers take the float16 weights themselves.
    """
    writer = Writer(graph, HalfEncoding(), height, width, resizable)
    return writer.file(write, "float32", "float32")


@torch.no_grad()
def int8_model(
    quantized: QuantizedGraph, height: int = 360, width: int = 640, resizable: bool = True
) -> bytes:
    """Write the INT8 file; its kernels are those of the network as it is now.

    Args:
        quantized: A quantised graph; it says the types of input and output.
        height: Of the low-resolution input, in pixels.
        width: Of the input.
        resizable: Leave height and width open.

    Returns:
        A file that maps ``(1, H, W, 3)`` to ``(1, scale * H, scale * W, 3)``, integers at either
        end standing for [0, 1] by the scale in the file (uint8 pixels, by default).
    """
    writer = Writer(quantized.graph, Int8Encoding(quantized), height, width, resizable)
    return writer.file(write, quantized.input_type, quantized.output_type)


@torch.no_grad()
def transparent_model(quantized: QuantizedGraph, height: int, width: int) -> bytes:
    """Write an INT8 file whose outputs are the tensors of all nodes but the first, in order.

    Args:
        quantized: A quantised graph.
        height: Of the low-resolution input, in pixels; fixed.
        width: Of the input.

    Returns:
        A file that maps ``(1, height, width, 3)`` int8 to NHWC tensors on their own levels.
    """
    writer = Writer(quantized.graph, Int8Encoding(quantized), height, width, False)
    first, *others = quantized.graph.nodes
    source = writer.tensors[first.name] = writer.tensor(first, (height, width))
    for node in others:
        write(node, writer)
    return writer.flat.finish(source, *(writer.tensors[node.name] for node in others))
