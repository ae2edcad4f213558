"""Sums, products, powers and means."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import torch
from torch import fx

from sr_experiments.quantization.graph import Add, Binary, Mul, Sub, Unary
from sr_experiments.quantization.operators.registry import Handler
from sr_experiments.quantization.reader import Constant, Reader


def _add(reader: Reader, node: fx.Node, x: object, y: object, *, alpha: float = 1) -> str:
    if alpha != 1:
        raise reader.refusal(node, "alpha is not supported; multiply")
    if reader.is_tensor(x) and reader.is_tensor(y):
        return _binary(reader, node, Add, x, y)
    tensor, value = (x, y) if reader.is_tensor(x) else (y, x)
    return _line(reader, node, tensor, 1.0, reader.constant(node, value))


def _sub(reader: Reader, node: fx.Node, x: object, y: object, *, alpha: float = 1) -> str:
    if alpha != 1:
        raise reader.refusal(node, "alpha is not supported; multiply")
    if reader.is_tensor(x) and reader.is_tensor(y):
        return _binary(reader, node, Sub, x, y)
    if reader.is_tensor(x):
        constant = reader.constant(node, y)
        return _line(reader, node, x, 1.0, lambda: -constant())
    return _line(reader, node, y, -1.0, reader.constant(node, x))


def _rsub(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    return _sub(reader, node, y, x)


def _neg(reader: Reader, node: fx.Node, x: object) -> str:
    return _line(reader, node, x, -1.0, 0.0)


def _mul(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    if reader.is_tensor(x) and reader.is_tensor(y):
        return _binary(reader, node, Mul, x, y)
    tensor, value = (x, y) if reader.is_tensor(x) else (y, x)
    return _line(reader, node, tensor, reader.constant(node, value), 0.0)


def _div(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    if reader.is_tensor(y):
        raise reader.refusal(node, "the targets multiply only; there is no INT8 division")
    constant = reader.constant(node, y)
    return _line(reader, node, x, lambda: 1 / constant(), 0.0)


def _power(reader: Reader, node: fx.Node, x: object, exponent: object) -> str:
    if exponent == 2:
        return _square(reader, node, x)
    if exponent == 0.5:
        return _root(reader, node, x)
    raise reader.refusal(node, f"exponent {exponent}; the targets know 2 and 0.5")


def _square(reader: Reader, node: fx.Node, x: object) -> str:
    return _binary(reader, node, Mul, x, x)


def _root(reader: Reader, node: fx.Node, x: object) -> str:
    source, channels = reader.unary(node)
    name = reader.name(node)
    return reader.put(Unary(name=name, inputs=(source,), channels=channels, function="sqrt"))


def _mean(reader: Reader, node: fx.Node, x: object, dim: Any = None, keepdim: bool = False) -> str:
    _require_picture(reader, node, dim, keepdim)
    return reader.mean(reader.tensor(node, x), reader.name(node))


def _spread(
    reader: Reader,
    node: fx.Node,
    x: object,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: int | None = None,
    root: bool,
) -> str:
    """Variance, or with ``root`` the standard deviation, of each channel."""
    _require_picture(reader, node, dim, keepdim)
    if correction != 0 and (correction is not None or unbiased):
        raise reader.refusal(node, "use correction=0: a mean does not know how many it averages")
    source, name = reader.tensor(node, x), reader.name(node)
    channels = reader.channels(source)
    mean = reader.mean(source, f"{name}.mean")
    # Two operators that XNNPACK has are 40 times as fast as one SQUARED_DIFFERENCE, which it lacks.
    difference = Sub(name=f"{name}.difference", inputs=(source, mean), channels=channels)
    reader.put(difference)
    square = Mul(name=f"{name}.square", inputs=(difference.name,) * 2, channels=channels)
    variance = reader.mean(reader.put(square), f"{name}.variance" if root else name)
    if not root:
        return variance
    return reader.put(Unary(name=name, inputs=(variance,), channels=channels, function="sqrt"))


def _require_picture(reader: Reader, node: fx.Node, dim: Any, keepdim: bool) -> None:
    axes = dim if isinstance(dim, tuple | list) else (dim,)
    if sorted(axis % 4 if isinstance(axis, int) else -1 for axis in axes) != [2, 3] or not keepdim:
        raise reader.refusal(node, "it must be over height and width: dim=(2, 3), keepdim=True")


def _binary(reader: Reader, node: fx.Node, kind: type[Binary], x: object, y: object) -> str:
    inputs = reader.tensor(node, x), reader.tensor(node, y)
    channels = reader.channels(inputs[0])
    if channels != reader.channels(inputs[1]):
        raise reader.refusal(node, "the channels of its operands differ; RepeatChannels makes more")
    return reader.put(kind(name=reader.name(node), inputs=inputs, channels=channels))


def _line(
    reader: Reader,
    node: fx.Node,
    x: object,
    factor: Constant | float,
    offset: Constant | float,
) -> str:
    source = reader.tensor(node, x)
    channels = reader.channels(source)
    factors, offsets = (
        reader.per_channel(node, constant, channels) for constant in (factor, offset)
    )
    return reader.affine(node, source, factors, offsets)


FUNCTIONS: dict[object, Handler] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _add),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _sub),
    torch.rsub: _rsub,
    **dict.fromkeys((operator.neg, torch.neg, "neg"), _neg),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _mul),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), _div),
    **dict.fromkeys((operator.pow, torch.pow, "pow"), _power),
    **dict.fromkeys((torch.square, "square"), _square),
    **dict.fromkeys((torch.sqrt, "sqrt"), _root),
    **dict.fromkeys((torch.mean, "mean"), _mean),
    **dict.fromkeys((torch.std, "std"), partial(_spread, root=True)),
    **dict.fromkeys((torch.var, "var"), partial(_spread, root=False)),
}
