"""A graph as a TFLite file, written directly.

The stock converter makes reshapes and transposes of a pixel shuffle and long names of everything;
here each node becomes the one operator it is. Operator versions are those that
``tensorflow/lite/tools/versioning/op_version.cc`` demands for what the operator does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ai_edge_litert.schema_py_generated import (
    ActivationFunctionType,
    AddOptionsT,
    BuiltinOperator,
    ConcatenationOptionsT,
    Conv2DOptionsT,
    DepthToSpaceOptionsT,
    DepthwiseConv2DOptionsT,
    MaximumMinimumOptionsT,
    MirrorPadMode,
    MirrorPadOptionsT,
    Padding,
)
from numpy.typing import NDArray

from sr_experiments.deploy.encoding import (
    FLOAT,
    HALF,
    INT8,
    Encoding,
    FloatEncoding,
    HalfEncoding,
    Int8Encoding,
)
from sr_experiments.deploy.flatbuffer import FlatModel, Quantization
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import (
    Add,
    Bounds,
    Clip,
    Concat,
    Conv,
    DepthToSpace,
    Gather,
    Graph,
    Node,
    PReLU,
    SymmetricPad,
)

CHANNEL_AXIS = 3
RELU6_BOUND = 6.0
UINT8 = np.dtype(np.uint8)
UINT8_SHIFT = 128  # from an int8 zero point to the uint8 one of the same numbers

# Versions of operators on int8 (those on float32 are at version 1).
_INT8_VERSIONS = {
    BuiltinOperator.ADD: 2,
    BuiltinOperator.CONCATENATION: 2,
    BuiltinOperator.CONV_2D: 3,
    BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    BuiltinOperator.DEPTH_TO_SPACE: 1,
    BuiltinOperator.DEQUANTIZE: 2,
    BuiltinOperator.MAXIMUM: 2,
    BuiltinOperator.MINIMUM: 2,
    BuiltinOperator.MIRROR_PAD: 2,
    BuiltinOperator.PAD: 2,
    BuiltinOperator.PRELU: 1,
    BuiltinOperator.QUANTIZE: 1,
    BuiltinOperator.RELU: 2,
    BuiltinOperator.RELU6: 2,
}
GROUPED_CONV_VERSION = 6
HALF_DEQUANTIZE_VERSION = 3

# Fused activations as operators of their own.
_ALONE = {
    ActivationFunctionType.RELU: BuiltinOperator.RELU,
    ActivationFunctionType.RELU6: BuiltinOperator.RELU6,
}


class Operation(NamedTuple):
    """An operator that reads a running tensor and constants."""

    code: int
    constants: tuple[int, ...] = ()
    options: Any = None
    grouped: bool = False


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
    writer = _Writer(graph, FloatEncoding(), height, width, resizable)
    return writer.file("float32", "float32")


@torch.no_grad()
def half_model(graph: Graph, height: int = 360, width: int = 640, resizable: bool = True) -> bytes:
    """Write the file whose weights are float16, half as large as `float_model`'s.

    As the stock converter has it: a DEQUANTIZE widens each constant. CPUs then compute in
    float32; GPU and NPU drivers take the float16 weights themselves.
    """
    return _Writer(graph, HalfEncoding(), height, width, resizable).file("float32", "float32")


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
    writer = _Writer(quantized.graph, Int8Encoding(quantized), height, width, resizable)
    return writer.file(quantized.input_type, quantized.output_type)


class _Writer:
    """Turns nodes into operators; ``tensors`` and ``sizes`` are those of the nodes' outputs."""

    def __init__(
        self, graph: Graph, encoding: Encoding, height: int, width: int, resizable: bool
    ) -> None:
        self.graph = graph
        self.encoding = encoding
        self.resizable = resizable
        self.flat = FlatModel()
        self.tensors: dict[str, int] = {}
        self.sizes = {graph.nodes[0].name: (height, width)}

    def file(self, input_type: str, output_type: str) -> bytes:
        """Write everything, with conversions at the ends where their types ask for them."""
        first, *others = self.graph.nodes
        source = self.tensor(first, self.sizes[first.name], np.dtype(input_type))
        self.tensors[first.name] = source
        if np.dtype(input_type) != self.encoding.dtype:
            self.chain(first, self.sizes[first.name], [source], Operation(BuiltinOperator.QUANTIZE))
        for node in others:
            self.write(node)
        last = self.graph[self.graph.output]
        result = self.tensors[last.name]
        if np.dtype(output_type) != self.encoding.dtype:
            to_float = np.dtype(output_type) == FLOAT
            code = BuiltinOperator.DEQUANTIZE if to_float else BuiltinOperator.QUANTIZE
            inner, result = result, self.tensor(last, self.sizes[last.name], np.dtype(output_type))
            self.add(Operation(code), [inner], result)
        return self.flat.finish(source, result)

    def write(self, node: Node) -> None:
        """Add the operators of one node."""
        sources = [self.tensors[name] for name in node.inputs]
        height, width = size = self.sizes[node.inputs[0]]
        if isinstance(node, Conv):
            self.conv(node, sources[0])
        elif isinstance(node, Add):
            fused, clips = self.clips(node, node.bounds)
            options = AddOptionsT(fusedActivationFunction=fused)
            operation = Operation(BuiltinOperator.ADD, options=options)
            self.chain(node, size, sources, operation, *clips)
        elif isinstance(node, Clip):
            fused, clips = self.clips(node, node.bounds)
            alone = [Operation(_ALONE[fused])] if fused in _ALONE else []
            self.chain(node, size, sources, *alone, *clips)
        elif isinstance(node, PReLU):
            slope, quantization = self.encoding.slope(node)
            constant = self.constant(slope.reshape(1, 1, -1), quantization)
            self.chain(node, size, sources, Operation(BuiltinOperator.PRELU, (constant,)))
        elif isinstance(node, Concat):
            self.concat(node, sources)
        elif isinstance(node, Gather):
            self.gather(node, sources[0])
        elif isinstance(node, DepthToSpace):
            size = height * node.block, width * node.block
            options = DepthToSpaceOptionsT(blockSize=node.block)
            operation = Operation(BuiltinOperator.DEPTH_TO_SPACE, options=options)
            self.chain(node, size, sources, operation)
        elif isinstance(node, SymmetricPad):
            size = height + 2 * node.pad, width + 2 * node.pad
            options = MirrorPadOptionsT(mode=MirrorPadMode.SYMMETRIC)
            pads = self.pads((node.pad,) * 4)
            operation = Operation(BuiltinOperator.MIRROR_PAD, (pads,), options)
            self.chain(node, size, sources, operation)
        else:
            raise TypeError(f"{type(node).__name__} has no TFLite operator")

    def conv(self, node: Conv, source: int) -> None:
        """Add a convolution, with a padding operator where SAME would pad elsewhere."""
        (weight, scales), bias = self.encoding.kernel(node)
        kernel_height, kernel_width = weight.shape[2:]
        top, bottom, left, right = node.padding
        height, width = self.sizes[node.inputs[0]]
        height, width = height + top + bottom, width + left + right
        rows, columns = kernel_height - 1, kernel_width - 1
        same = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
        padding = Padding.VALID
        if node.stride == 1 and node.padding == same:
            padding = Padding.SAME
        elif any(node.padding):
            padded = self.tensor(self.graph[node.inputs[0]], (height, width))
            self.add(Operation(BuiltinOperator.PAD, (self.pads(node.padding),)), [source], padded)
            source = padded
        size = (height - rows - 1) // node.stride + 1, (width - columns - 1) // node.stride + 1
        fused, clips = self.clips(node, node.bounds)
        depthwise = node.groups > 1 and weight.shape[1] == 1
        options = DepthwiseConv2DOptionsT() if depthwise else Conv2DOptionsT()
        options.padding = padding
        options.strideH = options.strideW = node.stride
        options.fusedActivationFunction = fused
        if depthwise:
            options.depthMultiplier = node.channels // node.groups
            scales = scales and replace(scales, axis=CHANNEL_AXIS)
        # Kernels are OIHW in the graph, OHWI in the file, and 1HWO if depthwise.
        weight = weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        operation = Operation(
            BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else BuiltinOperator.CONV_2D,
            (self.constant(weight, scales), self.constant(*bias)),
            options,
            grouped=node.groups > 1 and not depthwise,
        )
        self.chain(node, size, [source], operation, *clips)

    def concat(self, node: Node, sources: list[int]) -> None:
        """Add a concatenation of channels."""
        options = ConcatenationOptionsT(axis=CHANNEL_AXIS)
        operation = Operation(BuiltinOperator.CONCATENATION, options=options)
        self.chain(node, self.sizes[node.inputs[0]], sources, operation)

    def gather(self, node: Gather, source: int) -> None:
        """Add a choice of channels.

        Whole repetitions are a concatenation, anything else is a 1x1 convolution with ones.
        """
        channels = self.graph[node.inputs[0]].channels
        times = node.channels // channels
        if node.index == tuple(range(channels)) * times:
            self.concat(node, [source] * times)
            return
        (weight, scales), bias = self.encoding.picker(node, channels)
        weights = self.flat.constant(weight.transpose(0, 2, 3, 1), scales)
        options = Conv2DOptionsT(padding=Padding.SAME, strideH=1, strideW=1)
        operation = Operation(
            BuiltinOperator.CONV_2D, (weights, self.flat.constant(*bias)), options
        )
        self.chain(node, self.sizes[node.inputs[0]], [source], operation)

    def clips(self, node: Node, bounds: Bounds) -> tuple[int, list[Operation]]:
        """Split a clip into what an operator fuses and what needs operators of its own.

        The ends of an int8 tensor's range clip by saturation.
        """
        low, high = bounds.low, bounds.top
        if low == 0 and high == RELU6_BOUND:
            return ActivationFunctionType.RELU6, []
        operations = []
        if low and self.encoding.inside(node.name, low):
            operations.append(self.against(BuiltinOperator.MAXIMUM, node, low))
        if high is not None and self.encoding.inside(node.name, high):
            operations.append(self.against(BuiltinOperator.MINIMUM, node, high))
        fused = ActivationFunctionType.RELU if low == 0 else ActivationFunctionType.NONE
        return fused, operations

    def against(self, code: int, node: Node, value: float) -> Operation:
        """A maximum or minimum with a constant."""
        constant = self.flat.constant(*self.encoding.level(node.name, value))
        return Operation(code, (constant,), MaximumMinimumOptionsT())

    def chain(
        self, node: Node, size: tuple[int, int], sources: list[int], *operations: Operation
    ) -> None:
        """Add operators one after the other; the last one makes the node's tensor."""
        for operation in operations:
            result = self.tensor(node, size)
            self.add(operation, sources, result)
            sources = [result]
        self.tensors[node.name] = sources[0]
        self.sizes[node.name] = size

    def add(self, operation: Operation, sources: list[int], result: int) -> None:
        """Add one operator, in the version that what it does demands."""
        code = operation.code
        version = _INT8_VERSIONS[code] if self.encoding.dtype == INT8 else 1
        if operation.grouped:
            version = GROUPED_CONV_VERSION
        inputs = [*sources, *operation.constants]
        self.flat.operator(code, version, inputs, result, operation.options)

    def tensor(self, node: Node, size: tuple[int, int], dtype: np.dtype[Any] | None = None) -> int:
        """Add a tensor with the channels and the scale of a node's, in another type if asked."""
        dtype = dtype or self.encoding.dtype
        quantization = None if dtype == FLOAT else self.encoding.activation(node.name)
        if quantization is not None and dtype == UINT8:
            shifted = quantization.zero_points + UINT8_SHIFT
            quantization = replace(quantization, zero_points=shifted)
        shape = (1, *size, node.channels)
        return self.flat.activation(shape, dtype, quantization, self.resizable)

    def constant(self, value: NDArray[Any], quantization: Quantization | None) -> int:
        """Add weights; float16 ones with the operator that widens them."""
        held = self.flat.constant(value, quantization)
        if value.dtype != HALF:
            return held
        widened = self.flat.activation(value.shape, FLOAT, None, False)
        self.flat.operator(BuiltinOperator.DEQUANTIZE, HALF_DEQUANTIZE_VERSION, [held], widened)
        return widened

    def pads(self, padding: tuple[int, int, int, int]) -> int:
        """Add the table of a padding operator: before and after, for each axis of NHWC."""
        top, bottom, left, right = padding
        table = [[0, 0], [top, bottom], [left, right], [0, 0]]
        return self.flat.constant(np.array(table, np.int32), None)
