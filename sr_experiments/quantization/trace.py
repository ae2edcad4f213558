"""From a network to its graph: torch.fx sees the wiring, ``operators`` knows the operators.

What the targets cannot run is refused by name before anything is trained, with what to use
instead.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

from torch import fx, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import LEAF_MODULES
from sr_experiments.quantization.graph import Graph, enlargement
from sr_experiments.quantization.operators import number_of_parts, read_operator
from sr_experiments.quantization.passes import optimise
from sr_experiments.quantization.reader import IMAGE_CHANNELS, Reader, UnsupportedOperator

__all__ = ["UnsupportedOperator", "trace"]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAF_MODULES) or super().is_leaf_module(m, module_qualified_name)

    def iter(self, obj: fx.Proxy) -> Iterator[fx.Proxy]:
        """Let a loop run over the parts of a split whose number is known."""
        count = number_of_parts(obj.node)
        if count is None:
            return super().iter(obj)
        return (operator.getitem(obj, index) for index in range(count))


def trace(model: SRModel) -> Graph:
    """Read a network once; the graph follows its live parameters ever after.

    Dropout is left out and batch norm uses its running statistics, whatever mode the network is
    in: the graph is the network that ships.

    Args:
        model: RGB in, RGB out; on any device.

    Returns:
        The optimised graph (see ``passes``).

    Raises:
        UnsupportedOperator: If the targets cannot run an operator; the message names it, the
            module that uses it, and what to use instead.
    """
    name = type(model).__name__
    if not model.deployable:
        raise UnsupportedOperator(f"{name} cannot be deployed: {model.reason}")
    try:
        traced = _Tracer().trace(model)
    except (fx.proxy.TraceError, NameError, RuntimeError, TypeError) as error:
        raise UnsupportedOperator(
            f"{name}.forward cannot be traced: {error}. Its wiring must not depend on the values "
            "or the size of the image; choose in the constructor instead"
        ) from error
    reader = Reader(dict(model.named_modules()))
    *operators, output = traced.nodes
    for node in operators:
        if node.op != "get_attr":  # a constant: whoever reads it says whether that is possible
            reader.bind(node, read_operator(reader, node))
    result = reader.tensor(output, output.args[0])
    graph = Graph(tuple(reader.nodes.values()), result, model.scale)
    factor, channels = enlargement(graph)[result], graph[result].channels
    if factor != model.scale or channels != IMAGE_CHANNELS:
        raise UnsupportedOperator(
            f"{name} makes {channels} channels, {factor} times as large as its input, where "
            f"{IMAGE_CHANNELS} channels and {model.scale} times are wanted"
        )
    return optimise(graph)
