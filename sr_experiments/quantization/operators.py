"""What each PyTorch operator becomes in the graph."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import singledispatch
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sr_experiments.functional.bicubic import bicubic_upscale_kernel
from sr_experiments.functional.folding import fold_batch_norm, transposed_conv_as_conv
from sr_experiments.models.blocks import (
    BicubicUpscale,
    ChannelOffset,
    ClippedReLU,
    Collapsible,
    RepeatChannels,
)
from sr_experiments.quantization.graph import (
    Add,
    Bounds,
    Concat,
    Conv,
    DepthToSpace,
    Gather,
    Input,
    PReLU,
    SymmetricPad,
)
from sr_experiments.quantization.reader import IMAGE_CHANNELS, Reader, UnsupportedOperator


def read_operator(reader: Reader, node: fx.Node) -> str:
    """Add what one operator becomes and return the name of its output.

    Raises:
        UnsupportedOperator: If it becomes nothing that the targets run.
    """
    if node.op == "placeholder":
        if reader.nodes:
            raise UnsupportedOperator(f"forward has a second input, {node.name}; use one")
        return reader.put(Input(name="input", inputs=(), channels=IMAGE_CHANNELS))
    if node.op == "call_module":
        return read_module(reader.modules[str(node.target)], reader, node)
    handler = _FUNCTIONS.get(node.target)
    if handler is None:
        raise reader.refusal(node)
    return handler(reader, node, *node.args, **node.kwargs)


@singledispatch
def read_module(module: nn.Module, reader: Reader, node: fx.Node) -> str:
    """Add what a leaf module becomes and return the name of its output."""
    raise reader.refusal(node)


@read_module.register(nn.Identity)
@read_module.register(nn.Dropout)
@read_module.register(nn.Dropout2d)
def _(module: nn.Module, reader: Reader, node: fx.Node) -> str:
    return reader.unary(node)[0]


@read_module.register
def _(module: nn.Conv2d, reader: Reader, node: fx.Node) -> str:
    if module.padding_mode != "zeros":
        raise reader.refusal(node, f"padding_mode={module.padding_mode}; pad zeros")
    if module.dilation != (1, 1):
        raise reader.refusal(node, "dilation is not supported; use a larger kernel or more layers")
    if module.stride[0] != module.stride[1]:
        raise reader.refusal(node, "its strides differ; use the same for both axes")
    padding: tuple[int, int, int, int] | None
    if module.padding == "same":
        padding = None
    elif module.padding == "valid":
        padding = (0, 0, 0, 0)
    else:
        vertical, horizontal = (int(side) for side in module.padding)
        padding = (vertical, vertical, horizontal, horizontal)

    def kernel() -> tuple[Tensor, Tensor]:
        return module.weight, _bias(module)

    return reader.conv(node, kernel, padding, module.groups, module.stride[0])


@read_module.register
def _(module: Collapsible, reader: Reader, node: fx.Node) -> str:
    return reader.conv(node, module.folded, groups=module.groups)


@read_module.register
def _(module: nn.ConvTranspose2d, reader: Reader, node: fx.Node) -> str:
    if module.groups != 1 or module.dilation != (1, 1):
        raise reader.refusal(
            node, "groups and dilation are not supported in a transposed convolution"
        )
    for sides in (module.stride, module.padding, module.output_padding):
        if sides[0] != sides[1]:
            raise reader.refusal(node, "its axes differ; use the same stride and padding for both")
    block = module.stride[0]
    padding, output_padding = int(module.padding[0]), module.output_padding[0]

    def kernel() -> tuple[Tensor, Tensor]:
        lowered = transposed_conv_as_conv(
            module.weight, module.bias, block, padding, output_padding
        )
        return lowered[0], lowered[1]

    conv = reader.conv(node, kernel, name=f"{reader.name(node)}.conv")
    return reader.put(
        DepthToSpace(
            name=reader.name(node), inputs=(conv,), channels=module.out_channels, block=block
        )
    )


@read_module.register
def _(module: nn.BatchNorm2d, reader: Reader, node: fx.Node) -> str:
    if module.running_mean is None or module.running_var is None:
        raise reader.refusal(node, "it keeps no running statistics; leave track_running_stats on")

    def folded() -> tuple[Tensor, Tensor]:
        # Read at each use: a module that changes its device gets new buffers.
        mean, variance = module.running_mean, module.running_var
        assert mean is not None
        assert variance is not None
        one = torch.ones_like(mean).view(-1, 1, 1, 1)
        return fold_batch_norm(one, None, mean, variance, module.weight, module.bias, module.eps)

    source, _channels = reader.unary(node)
    return reader.affine(node, source, lambda: folded()[0].flatten(), lambda: folded()[1])


@read_module.register
def _(module: ChannelOffset, reader: Reader, node: fx.Node) -> str:
    source, _channels = reader.unary(node)
    return reader.affine(
        node,
        source,
        lambda: torch.ones_like(module.offset).flatten(),
        lambda: module.offset.flatten(),  # not the buffer of today's device
    )


@read_module.register
def _(module: nn.PReLU, reader: Reader, node: fx.Node) -> str:
    source, channels = reader.unary(node)
    return reader.put(
        PReLU(
            name=reader.name(node),
            inputs=(source,),
            channels=channels,
            slope=lambda: module.weight.expand(channels),
        )
    )


@read_module.register
def _(module: nn.ReLU, reader: Reader, node: fx.Node) -> str:
    return reader.clip(node, Bounds(0.0))


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
def _(module: RepeatChannels, reader: Reader, node: fx.Node) -> str:
    return _repeat(reader, node, node.args[0], module.times, 1)


@read_module.register
def _(module: nn.PixelShuffle, reader: Reader, node: fx.Node) -> str:
    return reader.shuffle(node, module.upscale_factor)


@read_module.register
def _(module: BicubicUpscale, reader: Reader, node: fx.Node) -> str:
    source, channels = reader.unary(node)
    name = reader.name(node)
    phases = bicubic_upscale_kernel(module.scale, torch.float64)
    radius = phases.shape[-1] // 2
    # Output channel (phase, colour) reads its own colour only.
    weight = phases[:, None, None] * torch.eye(channels)[None, :, :, None, None]
    weight = weight.flatten(0, 1)
    bias = torch.zeros(len(weight), dtype=weight.dtype)
    pad = SymmetricPad(name=f"{name}.pad", inputs=(source,), channels=channels, pad=radius)
    conv = Conv(
        name=f"{name}.conv",
        inputs=(reader.put(pad),),
        channels=len(weight),
        kernel=lambda: (weight, bias),
        padding=(0, 0, 0, 0),
    )
    return reader.put(
        DepthToSpace(name=name, inputs=(reader.put(conv),), channels=channels, block=module.scale)
    )


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _relu(reader: Reader, node: fx.Node, x: object, inplace: bool = False) -> str:
    return reader.clip(node, Bounds(0.0))


def _clamp(reader: Reader, node: fx.Node, x: object, min: object = None, max: object = None) -> str:
    bounds = [None if bound is None else _number(reader, node, bound) for bound in (min, max)]
    return reader.clip(node, Bounds(bounds[0], bounds[1]))


def _add(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    if isinstance(x, fx.Node) and isinstance(y, fx.Node):
        inputs = reader.tensor(node, x), reader.tensor(node, y)
        if reader.channels(inputs[0]) != reader.channels(inputs[1]):
            raise reader.refusal(
                node, "the channels of its operands differ; RepeatChannels makes more"
            )
        channels = reader.channels(inputs[0])
        return reader.put(Add(name=reader.name(node), inputs=inputs, channels=channels))
    tensor, number = (x, y) if isinstance(x, fx.Node) else (y, x)
    return _constant(reader, node, tensor, 1.0, _number(reader, node, number))


def _sub(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    return _constant(reader, node, x, 1.0, -_number(reader, node, y))


def _mul(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    tensor, number = (x, y) if isinstance(x, fx.Node) else (y, x)
    return _constant(reader, node, tensor, _number(reader, node, number), 0.0)


def _div(reader: Reader, node: fx.Node, x: object, y: object) -> str:
    return _constant(reader, node, x, 1.0 / _number(reader, node, y), 0.0)


def _constant(reader: Reader, node: fx.Node, x: object, factor: float, offset: float) -> str:
    source = reader.tensor(node, x)
    channels = reader.channels(source)
    factors = torch.full((channels,), factor, dtype=torch.float64)
    offsets = torch.full((channels,), offset, dtype=torch.float64)
    return reader.affine(node, source, lambda: factors, lambda: offsets)


def _number(reader: Reader, node: fx.Node, value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise reader.refusal(node, f"its operand {value} is no number; use ChannelOffset for constants")


def _cat(reader: Reader, node: fx.Node, tensors: Any, dim: int = 0, axis: int | None = None) -> str:
    if (dim if axis is None else axis) not in (1, -3):
        raise reader.refusal(node, "only channels (dim=1) can be concatenated")
    inputs = tuple(reader.tensor(node, tensor) for tensor in tensors)
    channels = sum(reader.channels(name) for name in inputs)
    return reader.put(Concat(name=reader.name(node), inputs=inputs, channels=channels))


def _repeat(reader: Reader, node: fx.Node, x: object, repeats: int, dim: int | None = None) -> str:
    if dim not in (1, -3):
        raise reader.refusal(node, "only channels (dim=1) can be repeated")
    source = reader.tensor(node, x)
    index = tuple(channel for channel in range(reader.channels(source)) for _ in range(repeats))
    name = reader.name(node)
    return reader.put(Gather(name=name, inputs=(source,), channels=len(index), index=index))


def _shuffle(reader: Reader, node: fx.Node, x: object, upscale_factor: int) -> str:
    return reader.shuffle(node, upscale_factor)


_FUNCTIONS: dict[object, Callable[..., str]] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _add),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub"), _sub),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul"), _mul),
    **dict.fromkeys((operator.truediv, torch.div, "div"), _div),
    **dict.fromkeys((torch.relu, F.relu, "relu", "relu_"), _relu),
    **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clip"), _clamp),
    **dict.fromkeys((torch.cat, torch.concat), _cat),
    **dict.fromkeys((torch.repeat_interleave, "repeat_interleave"), _repeat),
    **dict.fromkeys((torch.pixel_shuffle, F.pixel_shuffle), _shuffle),
}
