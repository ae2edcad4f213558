"""What a network has that mobile NPUs are slow or inexact at, and what to build instead.

Nothing here is an error: every operator of the graph runs. The replacements are the eight rules
that the Mobile AI 2022 challenge draws from its best networks (arXiv:2211.05910, 3.1), and what its
teams measured (section 4). Tensors of rank above 4 need no hint: no operator of the graph makes
one, and what would is refused by name when a network is traced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sr_experiments.quantization.graph import (
    MOVERS,
    Add,
    Conv,
    DepthToSpace,
    Gather,
    Graph,
    Input,
    LeakyReLU,
    Mean,
    Mul,
    Node,
    PReLU,
    Sub,
    Unary,
)

LARGEST_KERNEL = 3
DEEPEST = 16  # convolutions; the challenge's networks have up to 13, or short ones in branches
LANES, BEST_LANES = 8, 16  # channels that NPUs compute side by side
LONG = 4  # convolutions that a tensor is kept across
SHOWN = 3  # places that a line names


@dataclass(frozen=True)
class Hint:
    """One thing to change.

    Attributes:
        kind: What it is about, in a word or two.
        what: What is there.
        instead: What to build in its place.
        places: Names of the nodes.
    """

    kind: str
    what: str
    instead: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        more = len(self.places) - SHOWN
        places = ", ".join(self.places[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"{self.what} ({places}): {self.instead}"


def npu_hints(graph: Graph) -> list[Hint]:
    """Hints for a traced network, each kind once.

    Args:
        graph: Its kernels are looked at for their shapes only.
    """
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for kind, what, instead, place in (*_operators(graph), *_convolutions(graph), *_wiring(graph)):
        places = found[kind, what, instead]
        if place not in places:
            places.append(place)
    return [Hint(*key, tuple(places)) for key, places in found.items()]


Found = Iterator[tuple[str, str, str, str]]


def _operators(graph: Graph) -> Found:
    for node in graph.nodes:
        if isinstance(node, PReLU):
            yield (
                "activation",
                "PReLU with a slope for each channel is an operator of its own, and no fast one",
                "ReLU becomes part of the convolution before it; one slope for all channels is a "
                "leaky ReLU, about as fast as ReLU in LiteRT's INT8 kernels, where this makes 3x3 "
                "convolutions of 32 channels 4 times as slow",
                node.name,
            )
        elif isinstance(node, LeakyReLU):
            yield (
                "activation",
                "leaky ReLU is an operator of its own",
                "ReLU becomes part of the convolution before it",
                node.name,
            )
        elif isinstance(node, Unary):
            yield (
                "activation",
                f"{node.function} is no operator of many NPUs",
                "ReLU, or ReLU for the stage that trains for INT8",
                node.name,
            )
        elif isinstance(node, Add | Sub):
            yield (
                "add",
                "element-wise sums read two tensors and compute nothing",
                "concatenate and let the next convolution add (SCSRN), or carry the picture in "
                "spare channels (PureConvSR)",
                node.name,
            )
        elif isinstance(node, Mul | Mean):
            yield (
                "attention",
                "products of tensors and means over the picture hold up the whole frame",
                "plain re-parameterised convolutions (rules 1 and 4)",
                node.name,
            )
        elif isinstance(node, Gather) and len(set(node.index)) < len(node.index):
            yield (
                "repetition",
                "channels are repeated, as nearest-neighbour enlargement does",
                "a 1x1 convolution (rule 5), as DoubleZ has it",
                node.name,
            )


def _convolutions(graph: Graph) -> Found:
    convolutions = [node for node in graph.nodes if isinstance(node, Conv)]
    ends = _before_the_end(graph)
    for node in convolutions:
        side = max(node.kernel()[0].shape[2:])
        if side > LARGEST_KERNEL:
            yield (
                "kernel",
                f"kernels of {side}x{side}",
                "3x3 at most, more of them (rule 2)",
                node.name,
            )
        if node.channels % LANES and node.name not in ends:
            best = -(-node.channels // BEST_LANES) * BEST_LANES
            yield (
                "channels",
                f"{node.channels} channels are no multiple of {LANES}",
                f"{best} take as long on most NPUs (multiples of {BEST_LANES} fill them)",
                node.name,
            )
    if len(convolutions) > DEEPEST:
        yield (
            "depth",
            f"{len(convolutions)} convolutions in a row or in branches",
            "a shallow network (rule 1), wide while it trains (rule 4)",
            convolutions[-1].name,
        )


def _wiring(graph: Graph) -> Found:
    nodes = {node.name: node for node in graph.nodes}
    depth = _depth(graph)
    large: set[str] = set()  # behind depth-to-space
    for node in graph.nodes:
        for name in node.inputs:
            source = nodes[name]
            across = depth[node.name] - depth[name] - isinstance(node, Conv)
            if across >= LONG and source.channels >= LANES:
                yield (
                    "long skip",
                    f"features are kept in memory across {LONG} convolutions or more",
                    "no skip (rule 1), or one from the picture itself, which is small",
                    node.name,
                )
        if isinstance(node, DepthToSpace) or large & set(node.inputs):
            if isinstance(node, Conv):
                yield (
                    "size",
                    "convolutions run at the size of the output",
                    "depth-to-space last, all work before it (rule 3)",
                    node.name,
                )
            large.add(node.name)
    last = _maker(graph)
    bounds = getattr(last, "bounds", None)
    if bounds is None or bounds.low is None or bounds.high is None:
        yield (
            "clip",
            "the output is not clipped",
            "clip it to [0, 1] before depth-to-space, which costs nothing in INT8 (rule 6): "
            "model.clip_output=true where the network has it",
            last.name,
        )


def _depth(graph: Graph) -> dict[str, int]:
    """Convolutions on the longest way to each node, itself included."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[name] for name in node.inputs), default=0)
        depth[node.name] = before + isinstance(node, Conv)
    return depth


def _maker(graph: Graph) -> Node:
    """The last node that computes."""
    node = graph[graph.output]
    while isinstance(node, MOVERS) and not hasattr(node, "bounds"):
        node = graph[node.inputs[0]]
    return node


def _before_the_end(graph: Graph) -> set[str]:
    """Nodes with the channels that depth-to-space asks for: up to the last convolutions."""
    ends: set[str] = set()

    def visit(name: str) -> None:
        node = graph[name]
        ends.add(name)
        if not isinstance(node, Conv | Input):
            for before in node.inputs:
                visit(before)

    for node in graph.nodes:
        if isinstance(node, DepthToSpace):
            visit(node.name)
    visit(graph.output)
    return ends


def lines(name: str, hints: Iterable[Hint]) -> list[str]:
    """What is printed of a network; nothing where there is no hint."""
    texts = [f"  {hint}" for hint in hints]
    return [f"{name} on an NPU, hints:", *texts] if texts else []
