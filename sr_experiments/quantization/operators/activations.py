"""Activations: clips, slopes, and curves."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import fx, nn

from sr_experiments.models.blocks import ClippedReLU
from sr_experiments.quantization.graph import Bounds, Function, LeakyReLU, Mul, PReLU, Unary
from sr_experiments.quantization.operators.registry import Handler, read_module
from sr_experiments.quantization.reader import Reader

RELU6 = Bounds(0.0, 6.0)


@read_module.register
def _(module: nn.ReLU, reader: Reader, node: fx.Node) -> str:
    return _relu(reader, node)


@read_module.register
def _(module: nn.Hardtanh, reader: Reader, node: fx.Node) -> str:  # nn.ReLU6 is one
    return reader.clip(node, Bounds(float(module.min_val), float(module.max_val)))


@read_module.register
def _(module: ClippedReLU, reader: Reader, node: fx.Node) -> str:
    bound = module.bound
    if isinstance(bound, nn.Parameter):
        return reader.clip(node, Bounds(0.0, lambda: bound))
    return reader.clip(node, Bounds(0.0, bound))


@read_module.register
def _(module: nn.PReLU, reader: Reader, node: fx.Node) -> str:
    source, channels = reader.unary(node)
    name = reader.name(node)
    if module.num_parameters == 1:  # LiteRT is 300 times as fast at one slope as at many
        return reader.put(
            LeakyReLU(
                name=name,
                inputs=(source,),
                channels=channels,
                slope=lambda: module.weight.squeeze(0),
            )
        )
    return reader.put(
        PReLU(name=name, inputs=(source,), channels=channels, slope=lambda: module.weight)
    )


@read_module.register
def _(module: nn.LeakyReLU, reader: Reader, node: fx.Node) -> str:
    return _leaky(reader, node, None, module.negative_slope)


@read_module.register
def _(module: nn.ELU, reader: Reader, node: fx.Node) -> str:
    return _elu(reader, node, None, module.alpha)


@read_module.register
def _(module: nn.GELU, reader: Reader, node: fx.Node) -> str:
    return _gelu(reader, node, None, module.approximate)


@read_module.register
def _(module: nn.Sigmoid, reader: Reader, node: fx.Node) -> str:
    return _curve(reader, node, function="sigmoid")


@read_module.register
def _(module: nn.Tanh, reader: Reader, node: fx.Node) -> str:
    return _curve(reader, node, function="tanh")


@read_module.register
def _(module: nn.SiLU, reader: Reader, node: fx.Node) -> str:
    return _silu(reader, node)


@read_module.register
def _(module: nn.Hardsigmoid, reader: Reader, node: fx.Node) -> str:
    return _hardsigmoid(reader, node)


@read_module.register
def _(module: nn.Hardswish, reader: Reader, node: fx.Node) -> str:
    return _hardswish(reader, node)


def _relu(reader: Reader, node: fx.Node, x: object = None, inplace: bool = False) -> str:
    return reader.clip(node, Bounds(0.0))


def _relu6(reader: Reader, node: fx.Node, x: object, inplace: bool = False) -> str:
    return reader.clip(node, RELU6)


def _clamp(reader: Reader, node: fx.Node, x: object, min: object = None, max: object = None) -> str:
    bounds = [None if bound is None else reader.number(node, bound) for bound in (min, max)]
    return reader.clip(node, Bounds(bounds[0], bounds[1]))


def _leaky(
    reader: Reader, node: fx.Node, x: object, negative_slope: float = 0.01, inplace: bool = False
) -> str:
    source, channels = reader.unary(node)
    slope = torch.tensor(float(negative_slope), dtype=torch.float64)
    name = reader.name(node)
    return reader.put(
        LeakyReLU(name=name, inputs=(source,), channels=channels, slope=lambda: slope)
    )


def _elu(
    reader: Reader, node: fx.Node, x: object, alpha: float = 1.0, inplace: bool = False
) -> str:
    if alpha != 1:
        raise reader.refusal(node, f"alpha={alpha}; the targets know alpha=1 only")
    return _curve(reader, node, function="elu")


def _gelu(reader: Reader, node: fx.Node, x: object, approximate: str = "none") -> str:
    if approximate != "none":
        raise reader.refusal(node, f"approximate={approximate}; use none")
    return _curve(reader, node, function="gelu")


def _curve(
    reader: Reader, node: fx.Node, x: object = None, *, function: Function, name: str = ""
) -> str:
    source, channels = reader.unary(node)
    name = name or reader.name(node)
    return reader.put(Unary(name=name, inputs=(source,), channels=channels, function=function))


def _silu(reader: Reader, node: fx.Node, x: object = None, inplace: bool = False) -> str:
    return _gated(reader, node, _curve(reader, node, function="sigmoid", name=_gate(reader, node)))


def _hardswish(reader: Reader, node: fx.Node, x: object = None, inplace: bool = False) -> str:
    # LiteRT's own operator is not in XNNPACK and takes ten times as long.
    return _gated(reader, node, _hardsigmoid(reader, node, name=_gate(reader, node)))


def _hardsigmoid(
    reader: Reader, node: fx.Node, x: object = None, inplace: bool = False, *, name: str = ""
) -> str:
    source, channels = reader.unary(node)
    name = name or reader.name(node)
    sixth = torch.full((channels,), 1 / 6, dtype=torch.float64)
    half = torch.full((channels,), 0.5, dtype=torch.float64)
    line = reader.affine(node, source, lambda: sixth, lambda: half, f"{name}.line")
    return reader.clip(node, Bounds(0.0, 1.0), line, name)


def _gated(reader: Reader, node: fx.Node, gate: str) -> str:
    source, channels = reader.unary(node)
    return reader.put(Mul(name=reader.name(node), inputs=(source, gate), channels=channels))


def _gate(reader: Reader, node: fx.Node) -> str:
    return f"{reader.name(node)}.gate"


FUNCTIONS: dict[object, Handler] = {
    **dict.fromkeys((torch.relu, F.relu, "relu", "relu_"), _relu),
    F.relu6: _relu6,
    **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clip", "clamp_"), _clamp),
    F.leaky_relu: _leaky,
    F.elu: _elu,
    F.gelu: _gelu,
    F.silu: _silu,
    F.hardswish: _hardswish,
    F.hardsigmoid: _hardsigmoid,
    **dict.fromkeys(
        (torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), partial(_curve, function="sigmoid")
    ),
    **dict.fromkeys((torch.tanh, F.tanh, "tanh", "tanh_"), partial(_curve, function="tanh")),
}
