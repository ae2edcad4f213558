"""What a network costs, counted on the graph that is shipped."""

import torch

from sr_experiments.quantization.graph import Conv, Graph

PROBE = 8  # low-res pixels; every operator's output size is proportional to the input's


def multiply_accumulates(graph: Graph, height: int, width: int) -> int:
    """Multiply-accumulates of all convolutions for one frame.

    Args:
        graph: A traced network.
        height: Of the low-res frame, in pixels.
        width: Of the low-res frame, in pixels.

    Returns:
        Kernel size times output pixels, summed; biases, clips and additions are not counted,
        as the field does.
    """
    device = next((conv.kernel()[0].device for conv in graph.nodes if isinstance(conv, Conv)), None)
    probe = torch.zeros(1, graph.nodes[0].channels, PROBE, PROBE, device=device)
    count = 0
    with torch.no_grad():
        for node, value in graph.values(probe):
            if isinstance(node, Conv):
                pixels = value.shape[2] * value.shape[3] / PROBE**2 * height * width
                count += round(node.kernel()[0].numel() * pixels)
    return count
