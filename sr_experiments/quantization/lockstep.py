"""Walk a network in floating point and on the INT8 grid side by side, mending it on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv, Node
from sr_experiments.quantization.params import FakeKernel

Mend = Callable[[Conv, FakeKernel, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a convolution, its rounded kernel, its exact and its rounded input to a better kernel."""


@torch.no_grad()
def mended(quantized: QuantizedGraph, images: Tensor, mend: Mend) -> QuantizedGraph:
    """Replace every convolution's kernel in turn; each sees what those before it became.

    Scales stay as they are.

    Args:
        quantized: A quantised network; it is left as it is.
        images: ``(N, 3, H, W)`` low-resolution images in [0, 1].
        mend: Gives weight and bias.

    Returns:
        The network with kernels of its own that training no longer moves.
    """
    kernels: dict[str, tuple[Tensor, Tensor]] = {}
    scales = dict(quantized.kernel_scales)

    def compute(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        # The first half of the batch is exact, the second one rounded.
        halves = [tensor.chunk(2) for tensor in inputs]
        exact, rounded = [half[0] for half in halves], [half[1] for half in halves]
        result = node.run(*exact)
        current = quantized
        if isinstance(node, Conv):
            kernel = quantized.kernel(node)
            kernels[node.name] = mend(node, kernel, exact[0], rounded[0])
            scales[node.name] = kernel.scales
            current = replace(quantized, kernel_scales=scales)
            node = with_kernel(node, *kernels[node.name])
        return torch.cat([result, current.compute(node, rounded)])

    for _ in quantized.graph.execute(torch.cat([images, images]), compute):
        pass
    nodes = tuple(
        with_kernel(node, *kernels[node.name]) if isinstance(node, Conv) else node
        for node in quantized.graph.nodes
    )
    graph = replace(quantized.graph, nodes=nodes)
    return replace(quantized, graph=graph, kernel_scales=scales, exact=quantized.floating)


def with_kernel(conv: Conv, weight: Tensor, bias: Tensor) -> Conv:
    """The convolution with a constant kernel."""
    return replace(conv, kernel=lambda: (weight, bias))
