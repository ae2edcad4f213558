"""Operators that move values: joining, slicing, repeating, shuffling, padding."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from sr_experiments.models.blocks import RepeatChannels
from sr_experiments.quantization.graph import Concat
from sr_experiments.quantization.operators.registry import Handler, read_module
from sr_experiments.quantization.reader import Reader, Result

CHANNEL_AXES = (1, -3)
CHUNKS = (torch.chunk, "chunk")
SPLITS = (torch.split, "split")


@read_module.register
def _(module: RepeatChannels, reader: Reader, node: fx.Node) -> str:
    return _repeat(reader, node, node.args[0], module.times, 1)


@read_module.register
def _(module: nn.PixelShuffle, reader: Reader, node: fx.Node) -> str:
    return reader.shuffle(node, module.upscale_factor)


@read_module.register
def _(module: nn.ZeroPad2d, reader: Reader, node: fx.Node) -> str:
    return _pad(reader, node, None, module.padding, "constant")


@read_module.register
def _(module: nn.ReflectionPad2d, reader: Reader, node: fx.Node) -> str:
    return _pad(reader, node, None, module.padding, "reflect")


@read_module.register
def _(module: nn.ReplicationPad2d, reader: Reader, node: fx.Node) -> str:
    return _pad(reader, node, None, module.padding, "replicate")


def number_of_parts(node: fx.Node) -> int | None:
    """How many parts a split makes; None where that takes the number of channels to know."""
    if node.target in CHUNKS:
        chunks = node.kwargs.get("chunks", node.args[1] if len(node.args) > 1 else None)
        return chunks if isinstance(chunks, int) else None
    if node.target in SPLITS:
        values = (*node.args, *node.kwargs.values())
        return next((len(value) for value in values if isinstance(value, tuple | list)), None)
    return None


def _shuffle(reader: Reader, node: fx.Node, x: object, upscale_factor: int) -> str:
    return reader.shuffle(node, upscale_factor)


def _cat(reader: Reader, node: fx.Node, tensors: Any, dim: int = 0, axis: int | None = None) -> str:
    if (dim if axis is None else axis) not in CHANNEL_AXES:
        raise reader.refusal(node, "only channels (dim=1) can be concatenated")
    parts = reader.parts(tensors)
    inputs = parts or tuple(reader.tensor(node, tensor) for tensor in tensors)
    channels = sum(reader.channels(name) for name in inputs)
    return reader.put(Concat(name=reader.name(node), inputs=inputs, channels=channels))


def _repeat(reader: Reader, node: fx.Node, x: object, repeats: int, dim: int | None = None) -> str:
    if dim not in CHANNEL_AXES:
        raise reader.refusal(node, "only channels (dim=1) can be repeated")
    source = reader.tensor(node, x)
    index = tuple(channel for channel in range(reader.channels(source)) for _ in range(repeats))
    return reader.gather(source, index, reader.name(node))


def _split(reader: Reader, node: fx.Node, x: object, sizes: Any, dim: int = 0) -> Result:
    if dim not in CHANNEL_AXES:
        raise reader.refusal(node, "only channels (dim=1) can be split")
    source = reader.tensor(node, x)
    channels = reader.channels(source)
    if isinstance(sizes, int):
        sizes = [min(sizes, channels - start) for start in range(0, channels, sizes)]
    if sum(sizes) != channels:
        raise reader.refusal(node, f"its parts {list(sizes)} are not the {channels} channels")
    parts, start = [], 0
    for position, size in enumerate(sizes):
        index = tuple(range(start, start + size))
        parts.append(reader.gather(source, index, f"{reader.name(node)}.{position}"))
        start += size
    return tuple(parts)


def _chunk(reader: Reader, node: fx.Node, x: object, chunks: int, dim: int = 0) -> Result:
    channels = reader.channels(reader.tensor(node, x))
    return _split(reader, node, x, -(-channels // chunks), dim)


def _narrow(reader: Reader, node: fx.Node, x: object, dim: int, start: int, length: int) -> str:
    if dim not in CHANNEL_AXES:
        raise reader.refusal(node, "only channels (dim=1) can be sliced")
    source = reader.tensor(node, x)
    start %= reader.channels(source)
    return reader.gather(source, tuple(range(start, start + length)), reader.name(node))


def _getitem(reader: Reader, node: fx.Node, x: object, index: Any) -> str:
    parts = reader.parts(x)
    if parts and isinstance(index, int):
        return parts[index]
    source = reader.tensor(node, x)
    everything = slice(None)
    axes = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in axes:
        place = axes.index(Ellipsis)
        axes[place : place + 1] = [everything] * (5 - len(axes))
    axes += [everything] * (4 - len(axes))
    wanted = axes.pop(1)
    whole = all(isinstance(axis, slice) and axis == everything for axis in axes)
    if not whole or not isinstance(wanted, slice):
        raise reader.refusal(node, "only channels can be sliced, as x[:, a:b]")
    channels = tuple(range(reader.channels(source))[wanted])
    return reader.gather(source, channels, reader.name(node))


def _pad(
    reader: Reader,
    node: fx.Node,
    x: object,
    pad: Any,
    mode: str = "constant",
    value: float | None = None,
) -> str:
    sides = [*pad, 0, 0, 0, 0]
    if any(sides[4:]) or min(sides) < 0 or value:
        raise reader.refusal(node, "only zeros can be added, and only to height and width")
    left, right, top, bottom = (int(side) for side in sides[:4])
    source = reader.unary(node)[0]
    mode = "zeros" if mode == "constant" else mode
    return reader.pad(node, source, (top, bottom, left, right), mode, reader.name(node))


FUNCTIONS: dict[object, Handler] = {
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _cat),
    **dict.fromkeys((torch.repeat_interleave, "repeat_interleave"), _repeat),
    **dict.fromkeys(SPLITS, _split),
    **dict.fromkeys(CHUNKS, _chunk),
    **dict.fromkeys((torch.narrow, "narrow"), _narrow),
    operator.getitem: _getitem,
    **dict.fromkeys((torch.pixel_shuffle, F.pixel_shuffle), _shuffle),
    F.pad: _pad,
}
