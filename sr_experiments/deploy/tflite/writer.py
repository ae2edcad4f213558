"""What the writers of all operators share: tensors, constants, clips, versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.schema_py_generated import (
    ActivationFunctionType,
    BuiltinOperator,
    MaximumMinimumOptionsT,
)
from numpy.typing import NDArray

from sr_experiments.deploy.encoding import FLOAT, HALF, INT8, INT16, Encoding
from sr_experiments.deploy.flatbuffer import FlatModel, Quantization
from sr_experiments.deploy.tflite.metadata import METADATA, picture_metadata
from sr_experiments.quantization.graph import POOLED, Bounds, Graph, Node, enlargement

HALF_DEQUANTIZE_VERSION = 3
RELU6_BOUND = 6.0
UINT8 = np.dtype(np.uint8)
UINT8_SHIFT = 128  # from an int8 zero point to the uint8 one of the same numbers

Size = tuple[int, int]

# Versions of operators on int8, as ``tensorflow/lite/tools/versioning/op_version.cc`` demands
# them; those on float32 are at version 1, but for what an ``Operation`` says.
_INT8_VERSIONS = {
    BuiltinOperator.ADD: 2,
    BuiltinOperator.CONCATENATION: 2,
    BuiltinOperator.CONV_2D: 3,
    BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    BuiltinOperator.DEPTH_TO_SPACE: 1,
    BuiltinOperator.DEQUANTIZE: 2,
    BuiltinOperator.ELU: 1,
    BuiltinOperator.GELU: 2,
    BuiltinOperator.LEAKY_RELU: 1,
    BuiltinOperator.LOGISTIC: 2,
    BuiltinOperator.MAXIMUM: 2,
    BuiltinOperator.MAX_POOL_2D: 2,
    BuiltinOperator.MEAN: 2,
    BuiltinOperator.MINIMUM: 2,
    BuiltinOperator.MIRROR_PAD: 2,
    BuiltinOperator.MUL: 2,
    BuiltinOperator.PAD: 2,
    BuiltinOperator.PRELU: 1,
    BuiltinOperator.QUANTIZE: 1,
    BuiltinOperator.SLICE: 2,
    BuiltinOperator.SQRT: 1,
    BuiltinOperator.SUB: 2,
    BuiltinOperator.TANH: 2,
}
_INT16_VERSIONS = {
    BuiltinOperator.ADD: 3,
    BuiltinOperator.CONCATENATION: 3,
    BuiltinOperator.CONV_2D: 4,
    BuiltinOperator.DEPTHWISE_CONV_2D: 5,
    BuiltinOperator.GELU: 3,
    BuiltinOperator.LEAKY_RELU: 2,
    BuiltinOperator.LOGISTIC: 3,
    BuiltinOperator.MAXIMUM: 4,
    BuiltinOperator.MAX_POOL_2D: 3,
    BuiltinOperator.MEAN: 3,
    BuiltinOperator.MINIMUM: 4,
    BuiltinOperator.MIRROR_PAD: 3,
    BuiltinOperator.MUL: 4,
    BuiltinOperator.PAD: 3,
    BuiltinOperator.PRELU: 1,
    BuiltinOperator.QUANTIZE: 2,
    BuiltinOperator.SLICE: 4,
    BuiltinOperator.SQRT: 2,
    BuiltinOperator.SUB: 5,
    BuiltinOperator.TANH: 3,
}


class Operation(NamedTuple):
    """An operator that reads running tensors and constants.

    Attributes:
        code: Which one.
        constants: Tensors that it reads after the running ones.
        options: Its option object of the schema.
        version: Where what it does demands a later one than its type.
    """

    code: int
    constants: tuple[int, ...] = ()
    options: Any = None
    version: int = 0


class Writer:
    """Collects operators; ``tensors`` and ``sizes`` are those of the nodes' outputs.

    Args:
        graph: What is written.
        encoding: How numbers are.
        height: Of the input, in pixels.
        width: Of the input.
        resizable: Leave height and width open.
    """

    def __init__(
        self, graph: Graph, encoding: Encoding, height: int, width: int, resizable: bool
    ) -> None:
        self.graph = graph
        self.encoding = encoding
        self.flat = FlatModel()
        self.tensors: dict[str, int] = {}
        self.sizes: dict[str, Size] = {graph.nodes[0].name: (height, width)}
        factors = enlargement(graph)
        self._scale = factors[graph.output]
        self._resizable = {name: resizable and factor != POOLED for name, factor in factors.items()}

    def file(
        self, write: Callable[[Node, Writer], None], input_type: str, output_type: str
    ) -> bytes:
        """Write everything, with conversions at the ends where their types ask for them.

        Args:
            write: Adds the operators of one node.
            input_type: Name of a NumPy type.
            output_type: The same of the output.
        """
        first, *others = self.graph.nodes
        size = self.sizes[first.name]
        source = self.tensor(first, size, np.dtype(input_type))
        self.tensors[first.name] = source
        if np.dtype(input_type) != self.encoding.dtype:
            self.chain(first, size, [source], Operation(BuiltinOperator.QUANTIZE))
        for node in others:
            write(node, self)
        last = self.graph[self.graph.output]
        result = self.tensors[last.name]
        if np.dtype(output_type) != self.encoding.dtype:
            to_float = np.dtype(output_type) == FLOAT
            code = BuiltinOperator.DEQUANTIZE if to_float else BuiltinOperator.QUANTIZE
            inner, result = result, self.tensor(last, self.sizes[last.name], np.dtype(output_type))
            self.add(Operation(code), [inner], result)
        self.flat.metadata(METADATA, picture_metadata(self._scale))
        return self.flat.finish(source, result)

    def sources(self, node: Node) -> list[int]:
        """Tensors that a node reads."""
        return [self.tensors[name] for name in node.inputs]

    def size(self, node: Node) -> Size:
        """Height and width of the largest tensor that a node reads."""
        return max(self.sizes[name] for name in node.inputs)

    def fused(self, bounds: Bounds) -> int:
        """The activation that an operator does itself; ``clips`` has the rest."""
        kind: int = ActivationFunctionType.NONE
        if bounds.low == 0:
            six = bounds.top == RELU6_BOUND
            kind = ActivationFunctionType.RELU6 if six else ActivationFunctionType.RELU
        return kind

    def clips(self, node: Node, bounds: Bounds, fused: int) -> list[Operation]:
        """The part of a clip that needs operators of its own.

        The ends of an int8 tensor's range clip by saturation.
        """
        low, high = bounds.low, bounds.top
        if fused != ActivationFunctionType.NONE:
            low = None
        if fused == ActivationFunctionType.RELU6:
            high = None
        ends = (BuiltinOperator.MAXIMUM, low), (BuiltinOperator.MINIMUM, high)
        return [
            Operation(
                code,
                (self.flat.constant(*self.encoding.level(node.name, value)),),
                MaximumMinimumOptionsT(),
            )
            for code, value in ends
            if value is not None
            and self.encoding.cuts(node.name, value, above=code == BuiltinOperator.MINIMUM)
        ]

    def chain(self, node: Node, size: Size, sources: Sequence[int], *operations: Operation) -> None:
        """Add operators one after the other; the last one makes the node's tensor."""
        for operation in operations:
            result = self.tensor(node, size)
            self.add(operation, sources, result)
            sources = [result]
        self.tensors[node.name] = sources[0]
        self.sizes[node.name] = size

    def add(self, operation: Operation, sources: Sequence[int], result: int) -> None:
        """Add one operator, in the version that what it does demands."""
        code = operation.code
        version = _INT8_VERSIONS[code] if self.encoding.dtype == INT8 else 1
        if self.flat.holds(result, INT16):
            version = _INT16_VERSIONS[code]
        inputs = [*sources, *operation.constants]
        self.flat.operator(code, max(version, operation.version), inputs, result, operation.options)

    def tensor(self, node: Node, size: Size, dtype: np.dtype[Any] | None = None) -> int:
        """Add a tensor with the channels and the scale of a node's, in another type if asked."""
        dtype = dtype or self.encoding.type_of(node.name)
        quantization = None if dtype == FLOAT else self.encoding.activation(node.name)
        if quantization is not None and dtype == UINT8:
            shifted = quantization.zero_points + UINT8_SHIFT
            quantization = replace(quantization, zero_points=shifted)
        shape = (1, *size, node.channels)
        return self.flat.activation(shape, dtype, quantization, self._resizable[node.name])

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
