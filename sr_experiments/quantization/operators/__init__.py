"""What each PyTorch operator becomes in the graph."""

from __future__ import annotations

import inspect

from torch import fx

from sr_experiments.quantization.graph import Input
from sr_experiments.quantization.operators import activations, arithmetic, layers, layout
from sr_experiments.quantization.operators.layout import number_of_parts
from sr_experiments.quantization.operators.registry import Handler, read_module
from sr_experiments.quantization.reader import IMAGE_CHANNELS, Reader, Result, UnsupportedOperator

__all__ = ["number_of_parts", "read_operator"]

_FUNCTIONS: dict[object, Handler] = {
    **activations.FUNCTIONS,
    **arithmetic.FUNCTIONS,
    **layers.FUNCTIONS,
    **layout.FUNCTIONS,
}


def read_operator(reader: Reader, node: fx.Node) -> Result:
    """Add what one operator becomes and return the name of its output, or names of its parts.

    Raises:
        UnsupportedOperator: If it becomes nothing that the targets run.
    """
    if node.op == "placeholder":
        if reader.nodes:
            raise UnsupportedOperator(f"forward has a second input, {node.name}; use one")
        return reader.put(Input(name="input", inputs=(), channels=IMAGE_CHANNELS))
    if "input" in node.kwargs:
        others = {key: value for key, value in node.kwargs.items() if key != "input"}
        node.args, node.kwargs = (node.kwargs["input"], *node.args), others
    if node.op == "call_module":
        return read_module(reader.modules[str(node.target)], reader, node)
    handler = _FUNCTIONS.get(node.target)
    if handler is None:
        raise reader.refusal(node)
    try:
        inspect.signature(handler).bind(reader, node, *node.args, **node.kwargs)
    except TypeError as error:
        raise reader.refusal(node, f"it is called with an option too much: {error}") from error
    return handler(reader, node, *node.args, **node.kwargs)
