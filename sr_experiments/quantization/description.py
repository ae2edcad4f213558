"""The scales of a trained network as plain values, which its weights' file keeps.

So the INT8 file of a run can be written again, for another size or input type, with the ranges
that were trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sr_experiments.errors import UserError
from sr_experiments.quantization.fake import Ends, QuantizedGraph
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.params import QParams
from sr_experiments.quantization.sharing import separate_input


def description(quantized: QuantizedGraph) -> dict[str, Any]:
    """Scales, zero points and kernel scales by the names of nodes, all exact."""
    return {
        "per_channel": quantized.per_channel,
        "activations": {
            name: [params.scale, params.zero_point]
            for name, params in quantized.activations.items()
        },
        "kernels": {name: scales.tolist() for name, scales in quantized.kernel_scales.items()},
    }


def described(
    graph: Graph,
    values: Mapping[str, Any],
    input_type: Ends = "uint8",
    output_type: Ends = "uint8",
) -> QuantizedGraph:
    """A network with the scales of a description.

    Args:
        graph: Traced from the network that was described.
        values: What `description` gave.
        input_type: Of the file.
        output_type: Of the file.

    Raises:
        UserError: The description is of another network.
    """
    graph = separate_input(graph)
    try:
        activations = {name: QParams(*params) for name, params in values["activations"].items()}
        kernels = {name: torch.tensor(scales) for name, scales in values["kernels"].items()}
        per_channel = bool(values["per_channel"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the trained ranges beside the weights are damaged ({type(error).__name__}: {error}); "
            "add trained_ranges=false to measure new ones"
        ) from error
    if activations.keys() != {node.name for node in graph.nodes}:
        raise UserError(
            "the trained ranges belong to another network than the weights beside them; add "
            "trained_ranges=false to measure new ones"
        )
    return QuantizedGraph(graph, activations, per_channel, input_type, output_type, kernels)
