"""A TFLite flatbuffer, put together tensor by tensor with the schema that LiteRT ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

FILE_IDENTIFIER = b"TFL3"
# Marks our own files, whose pictures are in [0, 1].
DESCRIPTION = "sr_experiments"
SCHEMA_VERSION = 3
# LiteRT reads weights where they lie in the file, so they start where vector loads may.
ALIGNMENT = 16

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}


@dataclass(frozen=True)
class Quantization:
    """Scales and zero points of a tensor; more than one lie along ``axis``."""

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int = 0


class FlatModel:
    """One subgraph that grows by tensors and operators and ends as bytes.

    Tensors have numbers for names: in a file of 37 KB long names would be a tenth.
    """

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._buffers: list[Any] = [AlignedBuffer()]  # the first is empty, for all activations
        self._constants: dict[tuple[str, bytes], int] = {}
        self._metadata: list[Any] = []

    def activation(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        quantization: Quantization | None,
        resizable: bool,
    ) -> int:
        """Add a tensor that is computed; ``resizable`` leaves height and width (NHWC) open."""
        signature = (shape[0], -1, -1, shape[3]) if resizable else None
        return self._tensor(shape, dtype, quantization, 0, signature)

    def constant(self, value: NDArray[Any], quantization: Quantization | None = None) -> int:
        """Add a tensor that the file holds; equal bytes are held once."""
        payload = np.frombuffer(value.tobytes(), np.uint8)
        key = payload.tobytes()
        found = self._constants.setdefault((str(value.dtype), key), len(self._buffers))
        if found == len(self._buffers):
            self._buffers.append(AlignedBuffer(data=payload))
        return self._tensor(value.shape, value.dtype, quantization, found, None)

    def holds(self, tensor: int, dtype: np.dtype[Any]) -> bool:
        """Whether a tensor is of a type."""
        return bool(self._tensors[tensor].type == _TYPES[dtype])

    def operator(
        self, code: int, version: int, inputs: Sequence[int], output: int, options: Any = None
    ) -> None:
        """Add an operator; ``options`` is an option object of the schema."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault((code, version), len(self._codes))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([output], np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)

    def metadata(self, name: str, content: bytes) -> None:
        """Add bytes that programs find by a name and LiteRT does not look at."""
        entry = schema.MetadataT()
        entry.name = name
        entry.buffer = len(self._buffers)
        self._buffers.append(AlignedBuffer(data=np.frombuffer(content, np.uint8)))
        self._metadata.append(entry)

    def finish(self, source: int, *results: int) -> bytes:
        """Write the file with one input tensor and its output tensors."""
        subgraph = schema.SubGraphT()
        subgraph.name = b"main"
        subgraph.tensors = self._tensors
        subgraph.operators = self._operators
        subgraph.inputs = np.array([source], np.int32)
        subgraph.outputs = np.array(results, np.int32)
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = DESCRIPTION
        model.subgraphs = [subgraph]
        model.buffers = self._buffers
        model.metadata = self._metadata
        model.operatorCodes = [_code(code, version) for code, version in self._codes]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        quantization: Quantization | None,
        buffer: int,
        signature: tuple[int, ...] | None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = str(len(self._tensors))
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TYPES[np.dtype(dtype)]
        tensor.buffer = buffer
        if signature is not None:
            tensor.shapeSignature = np.array(signature, np.int32)
        if quantization is not None:
            parameters = schema.QuantizationParametersT()
            parameters.scale = quantization.scales
            parameters.zeroPoint = quantization.zero_points
            parameters.quantizedDimension = quantization.axis
            tensor.quantization = parameters
        self._tensors.append(tensor)
        return len(self._tensors) - 1


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data starts at a multiple of 16 bytes, which the generated code ignores."""

    def Pack(self, builder: Any) -> int:  # noqa: N802
        """Write it, and return where it is."""
        offset = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data.tobytes()
            builder.vectorNumElems = len(self.data)
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        end: int = schema.BufferEnd(builder)
        return end


def _code(code: int, version: int) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = code
    # Readers older than operator 127 look here, and 127 tells them to look at builtinCode.
    made.deprecatedBuiltinCode = min(code, 127)
    made.version = version
    return made
