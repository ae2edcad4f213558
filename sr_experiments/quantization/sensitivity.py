"""Which layer INT8 hurts: one layer at a time gets other bits than all others.

Kernels and outputs are rounded as in training, without the rounding of a runtime's own kernels,
so that any number of bits can be tried. A layer's range stays the one that INT8 has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.metrics import psnr_rgb
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import MOVERS, Clip, Conv, Input, Node, last
from sr_experiments.quantization.layer_noise import computing, covered

Bits = int | None
"""Of a layer's kernel and output; None: floating point."""

OWN = 0  # those that the network is quantised to


@dataclass(frozen=True)
class Sensitivity:
    """One layer.

    Attributes:
        name: Of its node.
        alone: PSNR in dB with this layer in INT8 and all others in floating point.
        among: PSNR in dB with this layer in other bits and all others in INT8, by the bits.
    """

    name: str
    alone: float
    among: dict[Bits, float]


@dataclass(frozen=True)
class Sweep:
    """All layers.

    Attributes:
        exact: PSNR in dB of the network in floating point.
        int8: The same with every layer in INT8.
        layers: In the order of the graph.
    """

    exact: float
    int8: float
    layers: list[Sensitivity]


@torch.no_grad()
def sweep(
    quantized: QuantizedGraph,
    pairs: Sequence[tuple[Tensor, Tensor]],
    bits: Iterable[Bits],
    advance: Callable[[], None] = lambda: None,
) -> Sweep:
    """Try every layer by itself.

    Args:
        quantized: A quantised graph.
        pairs: Low-resolution and high-resolution images, ``(3, H, W)`` uint8.
        bits: What one layer among INT8 ones gets.
        advance: Called after each layer of each pair.
    """
    bits = list(bits)
    names = [node.name for node in computing(quantized)]
    exact = int8 = 0.0
    alone = dict.fromkeys(names, 0.0)
    among = {name: dict.fromkeys(bits, 0.0) for name in names}
    share = 1 / len(pairs)
    for low_res, high_res in pairs:
        image, scale = to_float(low_res)[None], quantized.graph.scale

        def psnr(picture: Tensor, high_res: Tensor = high_res, scale: int = scale) -> float:
            return share * psnr_rgb(to_uint8(picture)[0], high_res, scale)

        plain = _Walk(quantized, image, None)
        rounded = _Walk(quantized, image, OWN)
        exact += psnr(plain.picture)
        int8 += psnr(rounded.picture)
        for name in names:
            alone[name] += psnr(plain.changed(name, OWN))
            for width in bits:
                among[name][width] += psnr(rounded.changed(name, width))
            advance()
    return Sweep(exact, int8, [Sensitivity(name, alone[name], among[name]) for name in names])


@torch.no_grad()
def noise_shares(quantized: QuantizedGraph, images: Iterable[Tensor]) -> dict[str, float]:
    """Share of the picture's noise that each layer makes, rounded by itself; the sum is 1.

    Args:
        quantized: A quantised graph.
        images: Each ``(1, 3, H, W)`` in [0, 1].
    """
    names = [node.name for node in computing(quantized)]
    noise = dict.fromkeys(names, 0.0)
    for image in images:
        plain = _Walk(quantized, image, None)
        for name in names:
            difference = plain.changed(name, OWN) - plain.picture
            noise[name] += float(difference.double().square().sum())
    total = sum(noise.values()) or 1.0
    return {name: value / total for name, value in noise.items()}


class _Walk:
    """A network with the same bits everywhere, whose tensors are kept."""

    def __init__(self, quantized: QuantizedGraph, image: Tensor, bits: Bits) -> None:
        self.quantized, self.image, self.bits = quantized, image, bits
        self.order = {node.name: place for place, node in enumerate(quantized.graph.nodes)}
        self.tensors = {
            node.name: tensor
            for node, tensor in quantized.graph.execute(
                image, lambda node, inputs: compute(quantized, node, inputs, bits)
            )
        }

    @property
    def picture(self) -> Tensor:
        """What comes out."""
        return self.tensors[self.quantized.graph.output]

    def changed(self, layer: str, bits: Bits) -> Tensor:
        """The picture with other bits in one layer; what comes before it is not computed again."""

        def one(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            if self.order[node.name] < self.order[layer]:
                return self.tensors[node.name]
            width = bits if node.name == layer else self.bits
            return compute(self.quantized, node, inputs, width)

        return last(self.quantized.graph.execute(self.image, one))


def compute(quantized: QuantizedGraph, node: Node, inputs: Sequence[Tensor], bits: Bits) -> Tensor:
    """One node with a kernel and an output of so many bits."""
    exact = quantized.floating[node.name]
    if isinstance(node, Input) or (isinstance(node, MOVERS) and not isinstance(node, Clip)):
        return node.run(*inputs)
    if bits is None:
        return exact.run(*inputs)
    if isinstance(node, Conv):
        assert isinstance(exact, Conv)
        weight, bias = _kernel(quantized, node, exact, bits)
        result = node.bounds.apply(node.convolve(inputs[0], weight, bias))
    else:
        result = quantized.differentiable(node, inputs)
    params = quantized.activations[node.name]
    return params.fake(result) if bits == OWN else rounded(result, *covered(params), bits)


def rounded(x: Tensor, low: float, high: float, bits: int) -> Tensor:
    """Round to ``2 ** bits`` levels from ``low``, at most 0, to ``high``, of which one is zero."""
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    step = (high - low) / (highest - lowest)
    zero_point = min(highest, max(lowest, round(lowest - low / step)))
    return torch.fake_quantize_per_tensor_affine(x, step, zero_point, lowest, highest)


def _kernel(quantized: QuantizedGraph, node: Conv, exact: Conv, bits: int) -> tuple[Tensor, Tensor]:
    if bits == OWN:
        kernel = quantized.kernel(node)
        return kernel.weight, kernel.bias
    weight, bias = exact.kernel()
    largest = weight.abs().amax((1, 2, 3), keepdim=True)
    if not quantized.per_channel:
        largest = largest.max()
    step = (largest / ((1 << (bits - 1)) - 1)).clamp(min=torch.finfo(weight.dtype).tiny)
    return (weight / step).round() * step, bias
