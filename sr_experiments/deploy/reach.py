"""How far a TFLite file looks, read from its operators.

Needs neither torch nor the network the file was made of, so files of others can be tiled exactly
too.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

_CODE = schema.BuiltinOperator
# Operators whose output pixel reads the same pixel of their inputs.
_POINTWISE = {
    _CODE.ADD,
    _CODE.CONCATENATION,
    _CODE.DEQUANTIZE,
    _CODE.DIV,
    _CODE.ELU,
    _CODE.GELU,
    _CODE.HARD_SWISH,
    _CODE.LEAKY_RELU,
    _CODE.LOGISTIC,
    _CODE.MAXIMUM,
    _CODE.MINIMUM,
    _CODE.MUL,
    _CODE.PRELU,
    _CODE.QUANTIZE,
    _CODE.RELU,
    _CODE.RELU6,
    _CODE.RELU_0_TO_1,
    _CODE.RELU_N1_TO_1,
    _CODE.SPLIT,
    _CODE.SPLIT_V,
    _CODE.SQRT,
    _CODE.SUB,
    _CODE.TANH,
}
_POOLS = (_CODE.AVERAGE_POOL_2D, _CODE.MAX_POOL_2D)

Reach = tuple[int, int]


def file_radius(content: bytes) -> int | None:
    """Low-resolution pixels, to each side, that one of them reads to make its output.

    Args:
        content: A TFLite file.

    Returns:
        The radius; None where an operator looks at the whole picture, as a mean does, or moves
        pixels in a way that is not known here.
    """
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    reach: dict[int, Reach] = {}
    for position in reversed(range(graph.OperatorsLength())):
        operator = graph.Operators(position)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        outputs = [reach.get(int(tensor), (0, 0)) for tensor in operator.OutputsAsNumpy()]
        wanted = max(before for before, _ in outputs), max(after for _, after in outputs)
        grown = _grown(code, operator, model, wanted)
        if grown is None:
            return None
        for tensor in operator.InputsAsNumpy():
            before, after = reach.get(int(tensor), grown)
            reach[int(tensor)] = max(before, grown[0]), max(after, grown[1])
    return max(0, *reach.get(int(graph.Inputs(0)), (0, 0)))


def _grown(code: int, operator: Any, model: Any, wanted: Reach) -> Reach | None:
    """What an operator reads before and after a pixel to make what is wanted of its output."""
    before, after = wanted
    if code in _POINTWISE:
        return wanted
    if code == _CODE.DEPTH_TO_SPACE:
        block = _options(operator, schema.DepthToSpaceOptions()).BlockSize()
        return -(-before // block), -(-after // block)
    if code in (_CODE.PAD, _CODE.PADV2, _CODE.MIRROR_PAD):
        return _padded(operator, model, wanted)
    if code in (_CODE.CONV_2D, _CODE.DEPTHWISE_CONV_2D):
        kind = schema.Conv2DOptions if code == _CODE.CONV_2D else schema.DepthwiseConv2DOptions
        options = _options(operator, kind())
        stride = max(options.StrideH(), options.StrideW())
        dilation = max(options.DilationHFactor(), options.DilationWFactor())
        taps = (max(_shape(operator, model, 1)[1:3]) - 1) * dilation
        return _windows(options, stride, taps, wanted)
    if code in _POOLS:
        options = _options(operator, schema.Pool2DOptions())
        stride = max(options.StrideH(), options.StrideW())
        return _windows(
            options, stride, max(options.FilterHeight(), options.FilterWidth()) - 1, wanted
        )
    if code == _CODE.SLICE:  # of channels, if it takes every row and column from the first on
        begin = _constant(operator, model, 1)
        return None if begin is None or any(begin[1:3]) else wanted
    if code == _CODE.TRANSPOSE_CONV:
        options = _options(operator, schema.TransposeConvOptions())
        stride = min(options.StrideH(), options.StrideW())
        taps = max(_shape(operator, model, 1)[1:3]) - 1
        return -(-(before + taps) // stride), -(-(after + taps) // stride)
    return None


def _windows(options: Any, stride: int, taps: int, wanted: Reach) -> Reach:
    """What a window reads that has ``taps`` pixels beside one."""
    before, after = (side * stride for side in wanted)
    if stride > 1:  # SAME then pads by the size of the picture: the whole window either way
        return before + taps, after + taps
    front = taps // 2 if options.Padding() == schema.Padding.SAME else 0
    return before + front, after + taps - front


def _padded(operator: Any, model: Any, wanted: Reach) -> Reach | None:
    table = _constant(operator, model, 1)
    if table is None:
        return None
    rows = table.reshape(-1, 2)[1:3]
    return wanted[0] + int(rows[:, 0].max()), wanted[1] - int(rows[:, 0].min())


def _constant(operator: Any, model: Any, position: int) -> Any:
    """Whole numbers that an operator reads; None where they are computed."""
    data = model.Buffers(_tensor(operator, model, position).Buffer()).DataAsNumpy()
    # Flatbuffers' answer where there are no data is a number.
    return None if isinstance(data, int) else data.view("<i4")


def _options(operator: Any, options: Any) -> Any:
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _tensor(operator: Any, model: Any, position: int) -> Any:
    return model.Subgraphs(0).Tensors(int(operator.InputsAsNumpy()[position]))


def _shape(operator: Any, model: Any, position: int) -> tuple[int, ...]:
    return tuple(int(side) for side in _tensor(operator, model, position).ShapeAsNumpy())
