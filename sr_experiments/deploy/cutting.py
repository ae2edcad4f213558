"""Each operator of a TFLite file as a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from sr_experiments.deploy.flatbuffer import FILE_IDENTIFIER, SCHEMA_VERSION, AlignedBuffer

_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}  # and the axis of its output channels


@dataclass(frozen=True)
class OperatorFile:
    """An operator by itself.

    Attributes:
        number: Its place in the file it comes from.
        operator: Its name in the schema.
        detail: Kernel and channels of a convolution, and the size of what it makes.
        reads: Tensors of the file it comes from that are its inputs, but for constants.
        makes: Tensors that are its outputs.
        content: A file that holds it.
    """

    number: int
    operator: str
    detail: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    content: bytes


def cut_operators(content: bytes, height: int, width: int) -> Iterator[OperatorFile]:
    """Cut a file into its operators.

    Operators that read constants only, such as the DEQUANTIZE of float16 weights, belong to those
    that read what they make, as a runtime does them once for all.

    Args:
        content: A TFLite file with one picture as input.
        height: Of the picture, in pixels.
        width: Of the picture.

    Yields:
        The operators in the order in which they run.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = model.subgraphs[0]
    shapes = _shapes(content, height, width)
    constant = {
        index
        for index, tensor in enumerate(graph.tensors)
        if model.buffers[tensor.buffer].data is not None
    }
    makers: dict[int, Any] = {}
    for number, operator in enumerate(graph.operators):
        inputs = [int(index) for index in operator.inputs if index >= 0]
        if inputs and constant.issuperset(inputs):
            constant.update(int(index) for index in operator.outputs)
            makers |= {int(index): operator for index in operator.outputs}
            continue
        chain = [*_before(inputs, makers), operator]
        code = model.operatorCodes[operator.opcodeIndex]
        name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        yield OperatorFile(
            number,
            name,
            _detail(name, operator, shapes),
            reads := tuple(dict.fromkeys(index for index in inputs if index not in constant)),
            tuple(int(index) for index in operator.outputs),
            _file(model, chain, shapes, reads),
        )


def _shapes(content: bytes, height: int, width: int) -> dict[int, list[int]]:
    """Shapes of all tensors for a picture of this size.

    Without XNNPACK, which keeps those inside to itself.
    """
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    (source,) = interpreter.get_input_details()
    if source["shape"].tolist()[1:3] != [height, width]:
        interpreter.resize_tensor_input(source["index"], (1, height, width, source["shape"][3]))
    interpreter.allocate_tensors()
    return {
        details["index"]: details["shape"].tolist() for details in interpreter.get_tensor_details()
    }


def _before(inputs: list[int], makers: dict[int, Any]) -> list[Any]:
    """Operators that make constants, the first first."""
    found: list[Any] = []
    for index in inputs:
        if index in makers:
            maker = makers[index]
            found += _before([int(i) for i in maker.inputs if i >= 0], makers)
            found.append(maker)
    return found


def _detail(name: str, operator: Any, shapes: dict[int, list[int]]) -> str:
    made = "x".join(map(str, shapes[int(operator.outputs[0])][1:]))
    if name not in CONVOLUTIONS:
        return made
    kernel = shapes[int(operator.inputs[1])]
    source = shapes[int(operator.inputs[0])][-1]
    channels = kernel[CONVOLUTIONS[name]]
    groups = source // kernel[3] if name == "CONV_2D" else source
    split = f" in {groups} groups" if groups > 1 else ""
    return f"{kernel[1]}x{kernel[2]}, {source} to {channels}{split}: {made}"


def _file(
    model: Any, operators: list[Any], shapes: dict[int, list[int]], reads: tuple[int, ...]
) -> bytes:
    graph = model.subgraphs[0]
    used = list(
        dict.fromkeys(
            int(index)
            for operator in operators
            for index in (*operator.inputs, *operator.outputs)
            if index >= 0
        )
    )
    place = {index: number for number, index in enumerate(used)} | {-1: -1}
    buffers: list[Any] = [AlignedBuffer()]
    tensors = []
    for index in used:
        tensor = _copy(graph.tensors[index])
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0 if data is None else len(buffers)
        if data is not None:
            buffers.append(AlignedBuffer(data=np.asarray(data, np.uint8)))
        tensor.shape = np.array(shapes[index], np.int32)
        tensor.shapeSignature = None
        tensors.append(tensor)
    subgraph = schema.SubGraphT()
    subgraph.tensors = tensors
    subgraph.operators = []
    for operator in operators:
        copied = _copy(operator)
        copied.inputs = np.array([place[int(index)] for index in operator.inputs], np.int32)
        copied.outputs = np.array([place[int(index)] for index in operator.outputs], np.int32)
        subgraph.operators.append(copied)
    subgraph.inputs = np.array([place[index] for index in reads], np.int32)
    subgraph.outputs = np.array([place[int(i)] for i in operators[-1].outputs], np.int32)
    alone = schema.ModelT()
    alone.version = SCHEMA_VERSION
    alone.operatorCodes = model.operatorCodes
    alone.subgraphs = [subgraph]
    alone.buffers = buffers
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(alone.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _copy(item: Any) -> Any:
    """A shallow copy of an object of the schema."""
    copied = type(item)()
    copied.__dict__.update(item.__dict__)
    return copied
