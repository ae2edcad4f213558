"""The one graph that the fake-quantiser and the file writers read.

It knows only the operators that mobile runtimes have INT8 kernels for. Convolutions, slopes and
learned bounds are held as functions that read the live parameters of the network, so a graph is
traced once, follows the training, and gradients flow through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.quantization.movers import (
    MOVERS,
    Clip,
    Concat,
    DepthToSpace,
    Gather,
    MaxPool,
    Pad,
)
from sr_experiments.quantization.nodes import (
    OPEN,
    POOLED,
    Add,
    Affine,
    Binary,
    Bounds,
    Conv,
    Function,
    Input,
    Kernel,
    LeakyReLU,
    Mean,
    Mul,
    Node,
    PReLU,
    Requantize,
    Sub,
    Unary,
)

__all__ = [
    "MOVERS",
    "OPEN",
    "POOLED",
    "Add",
    "Affine",
    "Binary",
    "Bounds",
    "Clip",
    "Concat",
    "Conv",
    "DepthToSpace",
    "Function",
    "Gather",
    "Graph",
    "Input",
    "Kernel",
    "LeakyReLU",
    "MaxPool",
    "Mean",
    "Mul",
    "Node",
    "PReLU",
    "Pad",
    "Requantize",
    "Sub",
    "Unary",
    "enlargement",
    "last",
    "receptive_radius",
]


@dataclass(frozen=True)
class Graph:
    """A network as a list of operators.

    Attributes:
        nodes: In an order in which each reads only earlier ones; the first is the ``Input``.
        output: Name of the node whose tensor is the picture.
        scale: How many times the picture is enlarged.
    """

    nodes: tuple[Node, ...]
    output: str
    scale: int

    def __getitem__(self, name: str) -> Node:
        """Return the node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def execute(
        self, low_res: Tensor, compute: Callable[[Node, Sequence[Tensor]], Tensor]
    ) -> Iterator[tuple[Node, Tensor]]:
        """Yield every node with its tensor, made by ``compute(node, inputs)``.

        Tensors are dropped after their last use.
        """
        uses = Counter(name for node in self.nodes for name in node.inputs)
        uses[self.output] += 1
        alive: dict[str, Tensor] = {}
        for node in self.nodes:
            inputs = [alive[name] for name in node.inputs] or [low_res]
            alive[node.name] = compute(node, inputs)
            yield node, alive[node.name]
            del inputs
            for name in node.inputs:
                uses[name] -= 1
                if not uses[name]:
                    del alive[name]

    def values(self, low_res: Tensor) -> Iterator[tuple[Node, Tensor]]:
        """Yield every node with its floating-point output."""
        return self.execute(low_res, lambda node, inputs: node.run(*inputs))

    def run(self, low_res: Tensor) -> Tensor:
        """Enlarge ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, scale * H, scale * W)``."""
        return last(self.values(low_res))


def last(values: Iterator[tuple[Node, Tensor]]) -> Tensor:
    """Run an execution to its end and return the last tensor."""
    tensor = None
    for _, tensor in values:  # noqa: B007
        pass
    assert tensor is not None
    return tensor


def enlargement(graph: Graph) -> dict[str, Fraction]:
    """How many times larger than the input each tensor is, by name of its node.

    Raises:
        UserError: If tensors of different sizes are combined.
    """
    factors: dict[str, Fraction] = {}
    for node in graph.nodes:
        before = {factors[name] for name in node.inputs} or {Fraction(1)}
        if isinstance(node, Binary) and len(before) > 1:
            before.discard(POOLED)  # a single pixel fits every size
        if len(before) > 1:
            raise UserError(f"{node.name} joins tensors of different sizes")
        (factor,) = before
        if factor == POOLED and isinstance(node, DepthToSpace | Pad | MaxPool):
            raise UserError(f"{node.name} gets a single pixel, the mean of the whole picture")
        factors[node.name] = node.enlarged(factor)
    return factors


def receptive_radius(graph: Graph) -> int | None:
    """Pixels of the low-resolution picture, to each side, that one of its pixels' output reads.

    A tile that overlaps its neighbours by this much gives the same picture as the whole image.

    Returns:
        The radius; None where a mean makes every pixel depend on the whole picture, so that no
        tile is exact.
    """
    if any(isinstance(node, Mean) for node in graph.nodes):
        return None
    reach = {node.name: (0, 0) for node in graph.nodes}
    for node in reversed(graph.nodes):
        before, after = node.reads(reach[node.name])
        for name in node.inputs:
            known = reach[name]
            reach[name] = max(known[0], before), max(known[1], after)
    return max(reach[graph.nodes[0].name])
