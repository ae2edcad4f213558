"""The ONNX operators of each node.

ONNX has no symmetric padding; it is written as slices that run backwards and a concatenation.
"""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np

from sr_experiments.deploy.onnx.writer import Writer
from sr_experiments.quantization.graph import (
    Add,
    Binary,
    Bounds,
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

CHANNEL_AXIS, HEIGHT_AXIS, WIDTH_AXIS = 1, 2, 3
BEFORE_THE_START = -(2**31)

_ARITHMETIC: dict[type[Binary], str] = {Add: "Add", Mul: "Mul", Sub: "Sub"}
_CURVES: dict[Function, str] = {"elu": "Elu", "sigmoid": "Sigmoid", "sqrt": "Sqrt", "tanh": "Tanh"}


@singledispatch
def write(node: Node, writer: Writer) -> str:
    """Add the operators of one node and return the name of what they make."""
    raise TypeError(f"{type(node).__name__} has no ONNX operator")


@write.register
def _(node: Conv, writer: Writer) -> str:
    top, bottom, left, right = node.padding
    made = writer.operator(
        "Conv",
        [*_sources(node, writer), *writer.kernel(node)],
        group=node.groups,
        strides=[node.stride] * 2,
        dilations=[node.dilation] * 2,
        pads=[top, left, bottom, right],
    )
    return _clipped(writer, made, node.bounds)


@write.register
def _(node: Binary, writer: Writer) -> str:
    made = writer.operator(_ARITHMETIC[type(node)], _sources(node, writer))
    return _clipped(writer, made, node.bounds)


@write.register
def _(node: Clip, writer: Writer) -> str:
    (source,) = _sources(node, writer)
    return _clipped(writer, source, node.bounds)


@write.register
def _(node: PReLU, writer: Writer) -> str:
    return writer.operator("PRelu", [*_sources(node, writer), writer.slope(node)])


@write.register
def _(node: LeakyReLU, writer: Writer) -> str:
    return writer.operator("LeakyRelu", _sources(node, writer), alpha=float(node.slope()))


@write.register
def _(node: Unary, writer: Writer) -> str:
    sources = _sources(node, writer)
    if node.function != "gelu":  # which ONNX has from opset 20 on
        return writer.operator(_CURVES[node.function], sources)
    root, one, half = (
        writer.constant(np.array(value, np.float32)) for value in (math.sqrt(0.5), 1.0, 0.5)
    )
    error = writer.operator("Erf", [writer.operator("Mul", [*sources, root])])
    doubled = writer.operator("Mul", [*sources, writer.operator("Add", [error, one])])
    return writer.operator("Mul", [doubled, half])


@write.register
def _(node: Requantize, writer: Writer) -> str:
    """The rounding that follows every operator does it."""
    return _sources(node, writer)[0]


@write.register
def _(node: Mean, writer: Writer) -> str:
    return writer.operator("GlobalAveragePool", _sources(node, writer))


@write.register
def _(node: Concat, writer: Writer) -> str:
    return writer.operator("Concat", _sources(node, writer), axis=CHANNEL_AXIS)


@write.register
def _(node: Gather, writer: Writer) -> str:
    sources, first = _sources(node, writer), node.index[0]
    if node.index == tuple(range(first, first + node.channels)):
        return _slice(writer, sources[0], first, first + node.channels, CHANNEL_AXIS)
    index = writer.constant(np.array(node.index, np.int64))
    return writer.operator("Gather", [*sources, index], axis=CHANNEL_AXIS)


@write.register
def _(node: DepthToSpace, writer: Writer) -> str:
    sources = _sources(node, writer)
    return writer.operator("DepthToSpace", sources, blocksize=node.block, mode="DCR")


@write.register
def _(node: Pad, writer: Writer) -> str:
    (made,) = _sources(node, writer)
    top, bottom, left, right = node.padding
    if node.mode == "symmetric":
        made = _mirrored(writer, made, top, bottom, HEIGHT_AXIS)
        return _mirrored(writer, made, left, right, WIDTH_AXIS)
    pads = writer.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    mode = "constant" if node.mode == "zero" else "reflect"
    return writer.operator("Pad", [made, pads], mode=mode)


@write.register
def _(node: MaxPool, writer: Writer) -> str:
    return writer.operator(
        "MaxPool",
        _sources(node, writer),
        kernel_shape=[node.size] * 2,
        strides=[node.stride] * 2,
        pads=[node.padding] * 4,
    )


def _sources(node: Node, writer: Writer) -> list[str]:
    return [writer.names[name] for name in node.inputs]


def _clipped(writer: Writer, source: str, bounds: Bounds) -> str:
    """Add a clip where there is one."""
    low, high = bounds.low, bounds.top
    if low is None and high is None:
        return source
    if low == 0 and high is None:
        return writer.operator("Relu", [source])
    ends = [
        "" if end is None else writer.constant(np.array(end, np.float32)) for end in (low, high)
    ]
    return writer.operator("Clip", [source, *ends])


def _mirrored(writer: Writer, source: str, before: int, after: int, axis: int) -> str:
    """Add mirrored pixels before and after along one axis."""
    parts = [source]
    if before:
        parts.insert(0, _slice(writer, source, before - 1, BEFORE_THE_START, axis, -1))
    if after:
        parts.append(_slice(writer, source, -1, -after - 1, axis, -1))
    return writer.operator("Concat", parts, axis=axis)


def _slice(writer: Writer, source: str, first: int, end: int, axis: int, step: int = 1) -> str:
    """Add a slice from ``first`` to just before ``end``."""
    limits = [writer.constant(np.array([value], np.int64)) for value in (first, end, axis, step)]
    return writer.operator("Slice", [source, *limits])
