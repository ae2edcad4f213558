"""The TFLite operators of each node."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

import numpy as np
from ai_edge_litert.schema_py_generated import (
    ActivationFunctionType,
    AddOptionsT,
    BuiltinOperator,
    ConcatenationOptionsT,
    Conv2DOptionsT,
    DepthToSpaceOptionsT,
    DepthwiseConv2DOptionsT,
    GeluOptionsT,
    LeakyReluOptionsT,
    MirrorPadMode,
    MirrorPadOptionsT,
    MulOptionsT,
    Padding,
    Pool2DOptionsT,
    ReducerOptionsT,
    SliceOptionsT,
    SubOptionsT,
)

from sr_experiments.deploy.encoding import FLOAT, INT16
from sr_experiments.deploy.tflite.writer import Operation, Writer
from sr_experiments.quantization.graph import (
    Add,
    Binary,
    Clip,
    Concat,
    Conv,
    DepthToSpace,
    Function,
    Gather,
    LeakyReLU,
    MaxPool,
    Mean,
    Mul,
    Node,
    Pad,
    PReLU,
    Requantize,
    Sub,
    Unary,
)

CHANNEL_AXIS = 3
PICTURE_AXES = (1, 2)
GROUPED_CONV_VERSION = 6
DILATED_DEPTHWISE_VERSION = 2
# LiteRT's own kernel of MUL wants to be told where the product of the scales is not below one.
GROWING_MUL_VERSION = 3

# Activations as operators of their own, in float32; in int8, where XNNPACK has no kernel for
# them, a maximum is 600 times as fast.
_ALONE = {
    ActivationFunctionType.RELU: BuiltinOperator.RELU,
    ActivationFunctionType.RELU6: BuiltinOperator.RELU6,
}
_ARITHMETIC = {
    Add: (BuiltinOperator.ADD, AddOptionsT),
    Mul: (BuiltinOperator.MUL, MulOptionsT),
    Sub: (BuiltinOperator.SUB, SubOptionsT),
}
_CURVES: dict[Function, int] = {
    "elu": BuiltinOperator.ELU,
    "gelu": BuiltinOperator.GELU,
    "sigmoid": BuiltinOperator.LOGISTIC,
    "sqrt": BuiltinOperator.SQRT,
    "tanh": BuiltinOperator.TANH,
}


@singledispatch
def write(node: Node, writer: Writer) -> None:
    """Add the operators of one node."""
    raise TypeError(f"{type(node).__name__} has no TFLite operator")


@write.register
def _(node: Conv, writer: Writer) -> None:
    """A convolution, with a padding operator where SAME would pad elsewhere."""
    (weight, scales), bias = writer.encoding.kernel(node)
    (source,) = writer.sources(node)
    top, bottom, left, right = node.padding
    height, width = writer.size(node)
    height, width = height + top + bottom, width + left + right
    rows, columns = ((side - 1) * node.dilation for side in weight.shape[2:])
    same = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
    padding = Padding.VALID
    if node.stride == 1 and node.padding == same:
        padding = Padding.SAME
    elif any(node.padding):
        padded = writer.tensor(writer.graph[node.inputs[0]], (height, width))
        pads = writer.pads(node.padding)
        writer.add(Operation(BuiltinOperator.PAD, (pads,)), [source], padded)
        source = padded
    size = (height - rows - 1) // node.stride + 1, (width - columns - 1) // node.stride + 1
    fused = writer.fused(node.bounds)
    clips = writer.clips(node, node.bounds, fused)
    depthwise = node.groups > 1 and weight.shape[1] == 1
    options = DepthwiseConv2DOptionsT() if depthwise else Conv2DOptionsT()
    options.padding = padding
    options.strideH = options.strideW = node.stride
    options.dilationHFactor = options.dilationWFactor = node.dilation
    options.fusedActivationFunction = fused
    version = GROUPED_CONV_VERSION if node.groups > 1 else 1
    if depthwise:
        version = DILATED_DEPTHWISE_VERSION if node.dilation > 1 else 1
        options.depthMultiplier = node.channels // node.groups
        scales = scales and replace(scales, axis=CHANNEL_AXIS)
    # Kernels are OIHW in the graph, OHWI in the file, and 1HWO if depthwise.
    weight = weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    operation = Operation(
        BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else BuiltinOperator.CONV_2D,
        (writer.constant(weight, scales), writer.constant(*bias)),
        options,
        version,
    )
    writer.chain(node, size, [source], operation, *clips)


@write.register
def _(node: Binary, writer: Writer) -> None:
    code, options = _ARITHMETIC[type(node)]
    fused = writer.fused(node.bounds)
    version = 1
    if isinstance(node, Mul) and writer.encoding.grows(node):
        version = GROWING_MUL_VERSION
    chosen = options(fusedActivationFunction=fused)
    if writer.encoding.type_of(node.name) == INT16 and not isinstance(node, Mul):
        chosen.potScaleInt16 = False  # any scale, not powers of two only
    operation = Operation(code, (), chosen, version)
    clips = writer.clips(node, node.bounds, fused)
    writer.chain(node, writer.size(node), writer.sources(node), operation, *clips)


@write.register
def _(node: Clip, writer: Writer) -> None:
    fused = ActivationFunctionType.NONE
    if writer.encoding.dtype == FLOAT:
        fused = writer.fused(node.bounds)
    alone = [Operation(_ALONE[fused])] if fused in _ALONE else []
    clips = writer.clips(node, node.bounds, fused)
    writer.chain(node, writer.size(node), writer.sources(node), *alone, *clips)


@write.register
def _(node: PReLU, writer: Writer) -> None:
    slope, quantization = writer.encoding.slope(node)
    constant = writer.constant(slope.reshape(1, 1, -1), quantization)
    operation = Operation(BuiltinOperator.PRELU, (constant,))
    writer.chain(node, writer.size(node), writer.sources(node), operation)


@write.register
def _(node: LeakyReLU, writer: Writer) -> None:
    options = LeakyReluOptionsT(alpha=float(node.slope()))
    operation = Operation(BuiltinOperator.LEAKY_RELU, options=options)
    writer.chain(node, writer.size(node), writer.sources(node), operation)


@write.register
def _(node: Unary, writer: Writer) -> None:
    options = GeluOptionsT(approximate=False) if node.function == "gelu" else None
    operation = Operation(_CURVES[node.function], options=options)
    writer.chain(node, writer.size(node), writer.sources(node), operation)


@write.register
def _(node: Mean, writer: Writer) -> None:
    axes = writer.flat.constant(np.array(PICTURE_AXES, np.int32))
    operation = Operation(BuiltinOperator.MEAN, (axes,), ReducerOptionsT(keepDims=True))
    writer.chain(node, (1, 1), writer.sources(node), operation)


@write.register
def _(node: Concat, writer: Writer) -> None:
    _concat(node, writer, writer.sources(node))


@write.register
def _(node: Gather, writer: Writer) -> None:
    """Whole repetitions, a slice, or anything else by a 1x1 convolution with ones."""
    (source,) = writer.sources(node)
    channels = writer.graph[node.inputs[0]].channels
    times, first = node.channels // channels, node.index[0]
    if node.index == tuple(range(channels)) * times:
        _concat(node, writer, [source] * times)
        return
    if node.index == tuple(range(first, first + node.channels)):
        begin, length = ([0, 0, 0, first], [-1, -1, -1, node.channels])
        limits = tuple(writer.flat.constant(np.array(v, np.int32)) for v in (begin, length))
        operation = Operation(BuiltinOperator.SLICE, limits, SliceOptionsT())
    else:
        (weight, scales), bias = writer.encoding.picker(node, channels)
        weights = writer.flat.constant(weight.transpose(0, 2, 3, 1), scales)
        options = Conv2DOptionsT(padding=Padding.SAME, strideH=1, strideW=1)
        biases = writer.flat.constant(*bias)
        operation = Operation(BuiltinOperator.CONV_2D, (weights, biases), options)
    writer.chain(node, writer.size(node), [source], operation)


@write.register
def _(node: DepthToSpace, writer: Writer) -> None:
    height, width = writer.size(node)
    options = DepthToSpaceOptionsT(blockSize=node.block)
    operation = Operation(BuiltinOperator.DEPTH_TO_SPACE, options=options)
    writer.chain(node, (height * node.block, width * node.block), writer.sources(node), operation)


@write.register
def _(node: Pad, writer: Writer) -> None:
    height, width = writer.size(node)
    top, bottom, left, right = node.padding
    pads = writer.pads(node.padding)
    if node.mode == "zero":
        operation = Operation(BuiltinOperator.PAD, (pads,))
    else:
        reflect = node.mode == "reflect"
        mode = MirrorPadMode.REFLECT if reflect else MirrorPadMode.SYMMETRIC
        operation = Operation(BuiltinOperator.MIRROR_PAD, (pads,), MirrorPadOptionsT(mode=mode))
    size = height + top + bottom, width + left + right
    writer.chain(node, size, writer.sources(node), operation)


@write.register
def _(node: MaxPool, writer: Writer) -> None:
    options = Pool2DOptionsT(
        padding=Padding.SAME if node.padding else Padding.VALID,
        strideH=node.stride,
        strideW=node.stride,
        filterHeight=node.size,
        filterWidth=node.size,
    )
    height, width = writer.size(node)
    sides = (side + 2 * node.padding - node.size for side in (height, width))
    height, width = (side // node.stride + 1 for side in sides)
    operation = Operation(BuiltinOperator.MAX_POOL_2D, options=options)
    writer.chain(node, (height, width), writer.sources(node), operation)


@write.register
def _(node: Requantize, writer: Writer) -> None:
    operation = Operation(BuiltinOperator.QUANTIZE)
    writer.chain(node, writer.size(node), writer.sources(node), operation)


def _concat(node: Node, writer: Writer, sources: list[int]) -> None:
    """A concatenation of channels."""
    options = ConcatenationOptionsT(axis=CHANNEL_AXIS)
    operation = Operation(BuiltinOperator.CONCATENATION, options=options)
    writer.chain(node, writer.size(node), sources, operation)
