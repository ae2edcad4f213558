"""Who reads which PyTorch operator: modules by their class, functions and methods by a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

from torch import fx, nn

from sr_experiments.quantization.reader import Reader, Result

Handler = Callable[..., Result]
"""Takes the reader, the node and the operator's own arguments."""


@singledispatch
def read_module(module: nn.Module, reader: Reader, node: fx.Node) -> Result:
    """Add what a leaf module becomes and return the name of its output."""
    raise reader.refusal(node)
