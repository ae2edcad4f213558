"""What a network costs, counted on the graph that is shipped."""

from sr_experiments.quantization.graph import POOLED, Conv, Graph, enlargement


def multiply_accumulates(graph: Graph, height: int, width: int) -> int:
    """Multiply-accumulates of all convolutions for one frame.

    Args:
        graph: A traced network.
        height: Of the low-res frame, in pixels.
        width: Of the low-res frame, in pixels.

    Returns:
        Kernel size times output pixels, summed; biases, clips, arithmetic and means are not
        counted, as the field does.
    """
    factors = enlargement(graph)
    count = 0
    for node in graph.nodes:
        if isinstance(node, Conv):
            factor = factors[node.name]
            pixels = 1 if factor == POOLED else factor * factor * height * width
            count += round(node.kernel()[0].numel() * pixels)
    return count
