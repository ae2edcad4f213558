"""A graph as an ExecuTorch file, FP32 or INT8, for the XNNPACK backend.

The fourth reader of the one graph: INT8 is written as PyTorch's own pairs of quantize and
dequantize operators with the scales of the TFLite file, which XNNPACK fuses into integer kernels.
What it has no kernel for, such as pixel shuffle, runs in floating point by ExecuTorch's portable
ones. Files are fixed in size: ExecuTorch plans the memory beforehand.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_experiments.errors import UserError
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Binary, Bounds, Clip, Conv, Graph, Node, last
from sr_experiments.quantization.params import QMAX, QMIN, WEIGHT_MAX, QParams

INSTALL = 'ExecuTorch needs: pip install "sr_experiments[executorch]"'


def executorch_model(network: Graph | QuantizedGraph, height: int, width: int) -> bytes:
    """Write the FP32 file of a traced network, or the INT8 file of a quantised one.

    Args:
        network: What to write; its kernels are those of the network as it is now.
        height: Of the low-resolution input, in pixels.
        width: Of the input.

    Returns:
        A ``.pte`` file that maps ``(1, 3, H, W)`` float32 in [0, 1] to
        ``(1, 3, scale * H, scale * W)``.

    Raises:
        UserError: ExecuTorch is not installed.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError(INSTALL) from error
    module: nn.Module
    if isinstance(network, QuantizedGraph):
        if network.wide:
            raise UserError(
                "target=executorch: its XNNPACK has no int16 activations; train with "
                "quantization=ptq, or leave target= out"
            )
        from torch.ao.quantization.fx import _decomposed  # noqa: F401  # the pairs of operators

        module = _Quantized(network)
    else:
        module = _Plain(network)
    picture = torch.zeros(1, 3, height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside torch.export and its passes
        exported = torch.export.export(module.eval(), (picture,))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        program = lowered.to_executorch()
    return bytes(program.buffer)


class _Plain(nn.Module):
    """A graph with its kernels as buffers, for ``torch.export`` knows no closures."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        # Buffers may not have dots in their names.
        self.places = {node.name: place for place, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            if isinstance(node, Conv):
                for kind, values in zip(("weight", "bias"), self.kernel(node), strict=True):
                    self.hold(kind, node, values)

    def hold(self, kind: str, node: Node, values: Tensor) -> None:
        """Register constants of a node."""
        self.register_buffer(f"{kind}_{self.places[node.name]}", values.detach().clone())

    def held(self, kind: str, node: Node) -> Tensor:
        """Those constants."""
        values: Tensor = getattr(self, f"{kind}_{self.places[node.name]}")
        return values

    def kernel(self, node: Conv) -> tuple[Tensor, Tensor]:
        """What is held of a kernel."""
        return node.kernel()

    def forward(self, low_res: Tensor) -> Tensor:
        return last(self.graph.execute(low_res, self.compute))

    def compute(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """One node in floating point."""
        if isinstance(node, Conv):
            made = node.convolve(inputs[0], self.weight(node), self.held("bias", node))
            return self.clipped(node, made, node.bounds)
        if isinstance(node, Binary):
            return self.clipped(node, node.combine(*inputs), node.bounds)
        if isinstance(node, Clip):
            return self.clipped(node, inputs[0], node.bounds)
        return node.run(*inputs)

    def clipped(self, node: Node, values: Tensor, bounds: Bounds) -> Tensor:
        """A clip as one operator, where XNNPACK has one to fuse into what is before it."""
        low, high = bounds.low, bounds.top
        if low is not None and high is not None:
            return F.hardtanh(values, low, high)
        return Bounds(low, high).apply(values)

    def weight(self, node: Conv) -> Tensor:
        """Weights in floating point."""
        return self.held("weight", node)


class _Quantized(_Plain):
    """Every tensor rounded to its levels by pairs of operators that backends know."""

    quantized: QuantizedGraph

    def __init__(self, quantized: QuantizedGraph) -> None:
        self.__dict__["quantized"] = quantized  # before buffers can be registered
        super().__init__(quantized.graph)
        for node in quantized.graph.nodes:
            if isinstance(node, Conv):
                scales = quantized.kernel(node).scales.detach().float()
                self.hold("scales", node, scales)
                self.hold("zeros", node, torch.zeros_like(scales).long())

    def kernel(self, node: Conv) -> tuple[Tensor, Tensor]:
        """Integers of the weights, and the rounded bias."""
        fake = self.quantized.kernel(node)
        return fake.integers()[0].to(torch.int8), fake.bias

    def weight(self, node: Conv) -> Tensor:
        """Weights from their integers, by output channel."""
        made: Tensor = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.held("weight", node),
            self.held("scales", node),
            self.held("zeros", node),
            0,
            -WEIGHT_MAX,
            WEIGHT_MAX,
            torch.int8,
        )
        return made

    def compute(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """One node, rounded; XNNPACK wants to see that also where the levels stay the same."""
        return _rounded(super().compute(node, inputs), self.quantized.activations[node.name])

    def clipped(self, node: Node, values: Tensor, bounds: Bounds) -> Tensor:
        """As above, an open end being that of the levels, which cut there anyway."""
        params, (low, high) = self.quantized.activations[node.name], (bounds.low, bounds.top)
        if high is not None and low is None:
            low = params.scale * (params.lowest - params.zero_point)
        elif low and high is None:
            high = params.scale * (params.highest - params.zero_point)
        return super().clipped(node, values, Bounds(low, high))


def _rounded(values: Tensor, params: QParams) -> Tensor:
    levels = (params.scale, params.zero_point, QMIN, QMAX, torch.int8)
    integers = torch.ops.quantized_decomposed.quantize_per_tensor(values, *levels)
    made: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(integers, *levels)
    return made
