"""Convolutions, norms, pools and fixed enlargements."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sr_experiments.functional.bicubic import bicubic_upscale_kernel
from sr_experiments.functional.folding import fold_batch_norm, transposed_conv_as_conv
from sr_experiments.models.blocks import BicubicUpscale, ChannelOffset, Collapsible
from sr_experiments.quantization.graph import Concat, Conv, DepthToSpace, MaxPool, Pad
from sr_experiments.quantization.operators.registry import Handler, read_module
from sr_experiments.quantization.reader import Reader

# More channels than this are enlarged one by one, fewer by one kernel full of zeros.
FEW_CHANNELS = 8


@read_module.register(nn.Identity)
@read_module.register(nn.Dropout)
@read_module.register(nn.Dropout2d)
def _(module: nn.Module, reader: Reader, node: fx.Node) -> str:
    return reader.unary(node)[0]


@read_module.register
def _(module: nn.Conv2d, reader: Reader, node: fx.Node) -> str:
    for name in ("stride", "dilation"):
        first, second = getattr(module, name)
        if first != second:
            raise reader.refusal(node, f"its {name}s differ; use the same for both axes")
    height, width = ((side - 1) * module.dilation[0] for side in module.kernel_size)
    if module.padding == "same":
        padding = height // 2, height - height // 2, width // 2, width - width // 2
    elif module.padding == "valid":
        padding = (0, 0, 0, 0)
    else:
        vertical, horizontal = (int(side) for side in module.padding)
        padding = (vertical, vertical, horizontal, horizontal)

    def kernel() -> tuple[Tensor, Tensor]:
        return module.weight, _bias(module)

    source = ""
    if module.padding_mode != "zeros" and any(padding):
        source = reader.pad(
            node, reader.unary(node)[0], padding, module.padding_mode, f"{reader.name(node)}.pad"
        )
        padding = (0, 0, 0, 0)
    return reader.conv(
        node, kernel, padding, module.groups, module.stride[0], module.dilation[0], source=source
    )


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
def _(module: nn.AdaptiveAvgPool2d, reader: Reader, node: fx.Node) -> str:
    return _adaptive(reader, node, None, module.output_size)


@read_module.register
def _(module: nn.AvgPool2d, reader: Reader, node: fx.Node) -> str:
    size, stride, padding = (
        _square(reader, node, value)
        for value in (module.kernel_size, module.stride, module.padding)
    )
    if module.ceil_mode or module.divisor_override or (padding and not module.count_include_pad):
        raise reader.refusal(
            node, "leave ceil_mode and divisor_override off, and count_include_pad on"
        )
    _source, channels = reader.unary(node)
    weight = torch.full((channels, 1, size, size), 1 / size**2, dtype=torch.float64)
    bias = torch.zeros(channels, dtype=torch.float64)
    return reader.conv(node, lambda: (weight, bias), (padding,) * 4, channels, stride)


@read_module.register
def _(module: nn.MaxPool2d, reader: Reader, node: fx.Node) -> str:
    size, stride, padding, dilation = (
        _square(reader, node, value)
        for value in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    same = padding == size // 2 and size % 2 == 1
    if not (same if stride == 1 else padding == 0) or dilation != 1 or module.ceil_mode:
        raise reader.refusal(
            node,
            "use stride=1 with padding=kernel_size // 2, or a stride without padding; "
            "no dilation, no ceil_mode",
        )
    source, channels = reader.unary(node)
    name = reader.name(node)
    return reader.put(
        MaxPool(name=name, inputs=(source,), channels=channels, size=size, stride=stride)
    )


@read_module.register
def _(module: BicubicUpscale, reader: Reader, node: fx.Node) -> str:
    return _enlarged(
        reader, node, module.scale, bicubic_upscale_kernel(module.scale, torch.float64)
    )


@read_module.register
def _(module: nn.Upsample, reader: Reader, node: fx.Node) -> str:
    return _interpolate(
        reader, node, None, module.size, module.scale_factor, module.mode, module.align_corners
    )


def _interpolate(
    reader: Reader,
    node: fx.Node,
    x: object,
    size: object = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> str:
    factors = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * 2
    if size is not None or None in factors or factors[0] != factors[1] or factors[0] % 1:
        raise reader.refusal(node, "give it a whole scale_factor, the same for both axes")
    factor = int(factors[0])
    if mode in ("nearest", "nearest-exact"):
        return reader.repeated_pixels(node, factor)
    if mode != "bilinear" or align_corners or antialias:
        raise reader.refusal(
            node,
            "use mode=nearest, mode=bilinear with neither align_corners nor antialias, or "
            "BicubicUpscale",
        )
    return _enlarged(reader, node, factor, _bilinear_kernel(factor))


def _enlarged(reader: Reader, node: fx.Node, factor: int, phases: Tensor) -> str:
    """Enlarge by fixed kernels ``(factor^2, K, K)``, one for each pixel of the new square."""
    source, channels = reader.unary(node)
    name = reader.name(node)
    radius = phases.shape[-1] // 2
    pad = Pad(
        name=f"{name}.pad",
        inputs=(source,),
        channels=channels,
        padding=(radius,) * 4,
        mode="symmetric",
    )
    reader.put(pad)

    def conv(part: str, weight: Tensor, groups: int) -> str:
        bias = torch.zeros(len(weight), dtype=weight.dtype)
        return reader.put(
            Conv(
                name=part,
                inputs=(pad.name,),
                channels=len(weight),
                kernel=lambda: (weight, bias),
                groups=groups,
                padding=(0, 0, 0, 0),
            )
        )

    if channels <= FEW_CHANNELS:
        # Output channel (phase, colour) reads its own colour only.
        eye = torch.eye(channels)[None, :, :, None, None]
        planes = conv(f"{name}.conv", (phases[:, None, None] * eye).flatten(0, 1), 1)
    else:
        parts = tuple(
            conv(f"{name}.conv{index}", phase.expand(channels, 1, -1, -1), channels)
            for index, phase in enumerate(phases)
        )
        size = channels * len(phases)
        planes = reader.put(Concat(name=f"{name}.concat", inputs=parts, channels=size))
    return reader.put(DepthToSpace(name=name, inputs=(planes,), channels=channels, block=factor))


def _bilinear_kernel(factor: int) -> Tensor:
    """Weights of the 3x3 pixels around one for each of the ``factor^2`` pixels that it becomes."""
    phase = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    taps = torch.arange(-1, 2, dtype=torch.float64)
    weights = (1 - (taps - phase[:, None]).abs()).clamp(min=0)
    return (weights[:, None, :, None] * weights[None, :, None, :]).reshape(-1, 3, 3)


def _adaptive(reader: Reader, node: fx.Node, x: object, output_size: Any) -> str:
    if output_size not in (1, (1, 1), [1, 1]):
        raise reader.refusal(node, "only one pixel, the mean of the picture, can be made")
    return reader.mean(reader.unary(node)[0], reader.name(node))


def _square(reader: Reader, node: fx.Node, value: Any) -> int:
    sides = value if isinstance(value, tuple | list) else (value, value)
    if sides[0] != sides[1]:
        raise reader.refusal(node, "its axes differ; use the same for both")
    return int(sides[0])


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


FUNCTIONS: dict[object, Handler] = {
    F.adaptive_avg_pool2d: _adaptive,
    F.interpolate: _interpolate,
}
