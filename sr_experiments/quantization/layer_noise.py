"""What INT8 does to each layer: its noise, what its range cuts off, how much of it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import MOVERS, Conv, Input, Node, Unary
from sr_experiments.quantization.params import QParams
from sr_experiments.quantization.sharing import scale_groups

CUT = 1e-3  # share of values beyond a range from which the range is too narrow
FILLED = 0.5  # share of a range below which it is too wide
DOMINANT = 3.0  # dB within which a kernel's noise explains its layer's

Values = Callable[[Tensor], Mapping[str, Tensor]]
"""From an image ``(1, 3, H, W)`` in [0, 1] to the rounded tensor of every node."""


@dataclass(frozen=True)
class LayerNoise:
    """One layer of a quantised network, on some images.

    Attributes:
        name: Of its node.
        operator: What it computes.
        channels: Of its output.
        sqnr: Signal to quantisation noise of its output in dB, everything before it rounded, too.
        own: The same of what the layer itself adds, given its rounded input.
        kernel: The same of its rounded kernel; None where it has none.
        saturated: Share of its values that the range cuts off.
        range: Lowest and highest number that its levels stand for.
        used: Lowest and highest number that it makes in floating point of its rounded input.
        shared: Names of the other layers that have the same range.
        share: Of the noise in the picture, what this layer alone makes; None where that was not
            measured.
    """

    name: str
    operator: str
    channels: int
    sqnr: float
    own: float
    kernel: float | None
    saturated: float
    range: tuple[float, float]
    used: tuple[float, float]
    shared: tuple[str, ...]
    share: float | None = None

    @property
    def filled(self) -> float:
        """Share of the range that values were seen in."""
        low, high = max(self.range[0], self.used[0]), min(self.range[1], self.used[1])
        return max(0.0, high - low) / (self.range[1] - self.range[0])


def decibel(signal: float, noise: float) -> float:
    """Power of a signal over that of its noise in dB; infinite without noise."""
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def first_to_fix(layers: Iterable[LayerNoise]) -> LayerNoise:
    """The layer that makes most of the picture's noise; unmeasured, most in its own signal."""
    return max(layers, key=lambda layer: (layer.share or 0.0, -layer.own))


def advice(layer: LayerNoise) -> str:
    """Why a layer is noisy, and what to try."""
    if layer.saturated > CUT:
        return (
            f"its range cuts off {layer.saturated:.2%} of its values: observer=minmax, or more "
            "calibration_images"
        )
    if layer.filled < FILLED:
        if layer.shared:
            return (
                f"it fills {layer.filled:.0%} of a range that it shares with "
                f"{', '.join(layer.shared)}: scale it by a convolution, or do not join them"
            )
        return f"it fills {layer.filled:.0%} of its range: observer=percentile or mse"
    if layer.kernel is not None and layer.kernel < layer.own + DOMINANT:
        return (
            "its noise is that of its kernel; where not in use yet: per_channel=true, "
            "equalize=true, adaptive_rounding=1000, or quantization=qat"
        )
    return "8 bits are few for what it makes: quantization=int16x8, or qat where not in use yet"


@torch.no_grad()
def layer_noise(
    quantized: QuantizedGraph, images: Iterable[Tensor], values: Values
) -> list[LayerNoise]:
    """Compare every layer that computes with its own in floating point.

    Args:
        quantized: A quantised graph.
        images: Each ``(1, 3, H, W)`` in [0, 1], whole pixel values.
        values: What the integers make of an image.
    """
    layers = [_Layer(quantized, node) for node in computing(quantized)]
    for image in images:
        exact = {node.name: tensor for node, tensor in quantized.floating.values(image)}
        made = values(image)
        for layer in layers:
            layer.see(exact[layer.node.name], made)
    return [layer.result() for layer in layers]


def computing(quantized: QuantizedGraph) -> list[Node]:
    """The nodes, in floating point, that make new values."""
    return [node for node in quantized.floating.nodes if not isinstance(node, (*MOVERS, Input))]


def covered(params: QParams) -> tuple[float, float]:
    """Lowest and highest number that levels stand for."""
    ends = params.lowest, params.highest
    low, high = ((level - params.zero_point) * params.scale for level in ends)
    return low, high


def operator_name(node: Node) -> str:
    """What a table calls the operator."""
    if isinstance(node, Conv):
        height, width = node.kernel()[0].shape[2:]
        kind = "depthwise" if 1 < node.groups == node.channels else "conv"
        return f"{kind} {height}x{width}"
    return node.function if isinstance(node, Unary) else type(node).__name__.lower()


class _Layer:
    """Sums of one layer over images."""

    def __init__(self, quantized: QuantizedGraph, node: Node) -> None:
        self.node = node
        self.quantized = quantized
        self.params = quantized.activations[node.name]
        self.sums = torch.zeros(4, dtype=torch.float64)  # signal, noise; own signal, own noise
        self.cut = self.count = 0
        self.low, self.high = math.inf, -math.inf

    def see(self, exact: Tensor, made: Mapping[str, Tensor]) -> None:
        """Take in one image: the exact output, and the rounded output of every node."""
        rounded = made[self.node.name]
        wanted = self.node.run(*(made[name] for name in self.node.inputs))
        pairs = (exact, rounded - exact, wanted, rounded - wanted)
        self.sums += torch.stack([tensor.double().square().sum() for tensor in pairs])
        low, high = covered(self.params)
        half = self.params.scale / 2
        self.cut += int(((wanted < low - half) | (wanted > high + half)).sum())
        self.count += wanted.numel()
        self.low = min(self.low, float(wanted.min()))
        self.high = max(self.high, float(wanted.max()))

    def result(self) -> LayerNoise:
        """All that was seen."""
        signal, noise, own_signal, own_noise = self.sums.tolist()
        groups = scale_groups(self.quantized.graph)
        mine = groups[self.node.name]
        others = (node.name for node in computing(self.quantized) if node is not self.node)
        return LayerNoise(
            self.node.name,
            operator_name(self.node),
            self.node.channels,
            decibel(signal, noise),
            decibel(own_signal, own_noise),
            self._kernel(),
            self.cut / max(self.count, 1),
            covered(self.params),
            (self.low, self.high),
            tuple(name for name in others if groups[name] == mine),
        )

    def _kernel(self) -> float | None:
        if not isinstance(self.node, Conv):
            return None
        rounding = self.quantized.graph[self.node.name]
        assert isinstance(rounding, Conv)
        weight = self.node.kernel()[0].double()
        noise = self.quantized.kernel(rounding).weight.double() - weight
        return decibel(float(weight.square().sum()), float(noise.square().sum()))
