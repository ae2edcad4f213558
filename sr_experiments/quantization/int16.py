"""Kernels in int8, activations in int16 (LiteRT's 16x8): nearly as exact as floating point.

Activations are symmetric, biases int64. Depth-to-space takes no int16, so what it reads is
narrowed to int8 and, where a network goes on computing behind it, widened again. LiteRT runs 16x8
on a CPU by its reference kernels, slowly; it is meant for NPUs.
Source: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_integer_quant_16x8
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.quantization.adaptive_rounding import adaptively_rounded
from sr_experiments.quantization.bias_correction import ENOUGH, bias_corrected
from sr_experiments.quantization.calibration import (
    covering_a_picture,
    fixed_ranges,
    measured_ranges,
)
from sr_experiments.quantization.equalization import equalized
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import (
    Clip,
    DepthToSpace,
    Graph,
    Input,
    Node,
    Pad,
    Requantize,
    Unary,
)
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.params import UNIT, QParams
from sr_experiments.quantization.ranges import MinMax
from sr_experiments.quantization.sharing import MOVERS, scale_groups

WIDE, NARROW = 16, 8
MARGIN = 2.0  # of the ranges over what was seen
CURVE = QParams(1 / 32768, 0, WIDE)  # of sigmoid and tanh, as LiteRT's specification wants it
CURVES = ("sigmoid", "tanh")
WITHOUT_KERNEL = {"elu": "ReLU, leaky ReLU or GELU"}


@dataclass(frozen=True)
class Int16Activations(PostTraining):
    """Post-training quantisation with int16 activations up to the last convolution.

    Kernels have a scale for each channel and activations are symmetric: LiteRT takes nothing
    else. Ranges are twice what was seen: 65,536 levels need no better rule, and values that the
    calibration images have not shown are not clipped.
    """

    symmetric: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.per_channel:
            raise UserError("quantization.per_channel=false: int16x8 has a scale for each channel")
        if not self.symmetric:
            raise UserError("quantization.symmetric=false: int16 activations are symmetric")
        if self.observer not in ("minmax", MinMax()):
            raise UserError(
                f"quantization.observer={self.observer}: int16 has levels enough for minmax"
            )

    @torch.no_grad()
    def quantize(self, graph: Graph, calibration: Tensor) -> QuantizedGraph:
        """Measure the ranges and give every tensor a scale; see `PostTraining`.

        Raises:
            UserError: An operator has no int16 kernel.
        """
        graph = equalized(graph) if self.equalize else graph
        known = fixed_ranges(graph, scale_groups(graph), fixed_output=self.fixed_output)
        wide, bits = widened(graph)
        groups = scale_groups(wide)
        measured = measured_ranges(wide, groups, (), MinMax(), calibration)
        of_group = {groups[name]: width for name, width in bits.items()}
        ranges = {group: _params(*ends, of_group[group]) for group, ends in measured.items()}
        for node in wide.nodes:
            if isinstance(node, Unary) and node.function in CURVES:
                ranges[groups[node.name]] = CURVE
        picture = groups[wide.output]
        ranges[picture] = known.get(
            scale_groups(graph)[graph.output],
            _params(*covering_a_picture(measured[picture]), NARROW),
        )
        ranges[groups[wide.nodes[0].name]] = UNIT
        quantized = QuantizedGraph(
            wide,
            {node.name: ranges[groups[node.name]] for node in wide.nodes},
            input_type=self.input_type,
            output_type=self.output_type,
        )
        if self.adaptive_rounding:
            quantized = adaptively_rounded(quantized, calibration, self.adaptive_rounding)
        return (
            bias_corrected(quantized, calibration[:ENOUGH]) if self.bias_correction else quantized
        )


def _params(low: float, high: float, bits: int) -> QParams:
    if bits == NARROW:
        return QParams.of_range(low, high)
    return QParams.of_range(MARGIN * low, MARGIN * high, symmetric=True, bits=WIDE)


def widened(graph: Graph) -> tuple[Graph, dict[str, int]]:
    """Put a change of bits wherever int8 and int16 meet.

    Int8 are the picture that goes in, depth-to-space, and everything that only moves values
    behind the last computing operator. All else is int16.

    Returns:
        The graph, and the bits of each of its nodes.

    Raises:
        UserError: An operator has no int16 kernel.
    """
    tail = _tail(graph)
    bits: dict[str, int] = {}
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        narrow = node.name in tail or isinstance(node, Input | DepthToSpace)
        bits[node.name] = NARROW if narrow else WIDE
        instead = WITHOUT_KERNEL.get(node.function) if isinstance(node, Unary) else None
        if instead is not None:
            name = getattr(node, "function", "")
            raise UserError(
                f"quantization=int16x8: {name} at {node.name} has no int16 kernel; use {instead}"
            )
        inputs = tuple(_read(nodes, name, node, bits) for name in node.inputs)
        nodes[node.name] = replace(node, inputs=inputs)
    output = graph.output
    if bits[output] != NARROW:
        output = _changed(nodes, output, NARROW, bits)
    return replace(graph, nodes=tuple(nodes.values()), output=output), bits


def _read(nodes: dict[str, Node], name: str, reader: Node, bits: dict[str, int]) -> str:
    """The tensor that an operator reads for another one: itself, or with other levels."""
    source = nodes[name]
    # The levels of a curve are given, and what joins it with others has levels of its own.
    given = isinstance(source, Unary) and source.function in CURVES
    if bits[name] == bits[reader.name] and not (given and isinstance(reader, MOVERS)):
        return name
    return _changed(nodes, name, bits[reader.name], bits)


def _changed(nodes: dict[str, Node], name: str, width: int, bits: dict[str, int]) -> str:
    changed = f"{name}.int{width}"
    if changed not in nodes:
        channels = nodes[name].channels
        nodes[changed] = Requantize(name=changed, inputs=(name,), channels=channels)
        bits[changed] = width
    return changed


def _tail(graph: Graph) -> set[str]:
    """Names of the nodes that only move what the last computing operator makes."""
    tail: set[str] = set()
    node = graph[graph.output]
    while isinstance(node, Clip | DepthToSpace | Pad):
        tail.add(node.name)
        node = graph[node.inputs[0]]
    return tail
