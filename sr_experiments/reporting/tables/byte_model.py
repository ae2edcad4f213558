"""How large other converters make an INT8 TFLite file of the same network.

Our writer gives tensors numbers for names and writes few of the optional fields, so its files are
smaller than those of the challenges' teams, and to compare bytes with bytes would compare
writers. What every file has in common, found by parsing more than ten public ones, is

    bytes = W + 28 S + F,

W the kernels' values (a byte each), S the output channels of all convolutions (28 bytes each: a
bias, and scale and zero point of kernel and bias), and F a sum per tensor that hangs on how long
the names are. A size that a paper prints fits a network when it lies between the sizes with the
shortest and with the longest names seen.
"""

from dataclasses import dataclass

from sr_experiments.quantization.graph import Add, Bounds, Clip, Conv, Graph, Input, Node

BYTES_PER_CHANNEL = 28
SHORT_NAMES, LONG_NAMES = 215, 425  # bytes per tensor: quantised after training, while training
ENDS = 2  # a QUANTIZE operator at either end
KIB = 1024


@dataclass(frozen=True)
class Band:
    """Sizes of a file, in KiB, with short and with long names."""

    low: float
    high: float

    def distance(self, kib: float) -> float:
        """How far a size is outside, in KiB; 0 inside. A size printed whole is a half wide."""
        return max(0.0, self.low - (kib + 0.5), (kib - 0.5) - self.high)

    def __str__(self) -> str:
        return f"{self.low:.1f}-{self.high:.1f}"


def size_band(graph: Graph) -> Band:
    """The band of a traced network.

    Counts operators as the converters of the teams leave them: a ReLU is fused, a clip from
    above is a MINIMUM and a RELU of their own, a repeated input is one concatenation.
    """
    convs = [node for node in graph.nodes if isinstance(node, Conv)]
    kernels = [conv.kernel()[0] for conv in convs]
    fixed = sum(kernel.numel() + BYTES_PER_CHANNEL * kernel.shape[0] for kernel in kernels)
    operators = ENDS + sum(_operators(node) for node in graph.nodes)
    tensors = 1 + operators + 2 * len(convs)
    return Band((fixed + SHORT_NAMES * tensors) / KIB, (fixed + LONG_NAMES * tensors) / KIB)


def _operators(node: Node) -> int:
    if isinstance(node, Input):
        return 0
    if isinstance(node, Clip):
        return _clips(node.bounds) or 1
    if isinstance(node, Conv | Add):
        return 1 + _clips(node.bounds)
    return 1


def _clips(bounds: Bounds) -> int:
    return 0 if bounds.top is None else 2
