"""A graph on the INT8 grid, in floating point: what training sees and what the file computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_experiments.quantization.graph import Add, Clip, Conv, Graph, Input, Node, PReLU, last
from sr_experiments.quantization.params import (
    FakeKernel,
    QParams,
    fake_kernel,
    fake_slope,
    rescaled,
)

Ends = Literal["uint8", "int8", "float32"]


@dataclass(frozen=True)
class QuantizedGraph:
    """A graph with a scale for every tensor.

    The kernels stay those of the live network: they are rounded whenever they are read.

    Attributes:
        graph: What is computed.
        activations: Scale and zero point of every node's tensor, by its name.
        per_channel: Whether kernels have a scale for each output channel.
        input_type: Type of the file's input.
        output_type: Type of the file's output.
        kernel_scales: Scales ``(O,)`` of the kernels that do not take theirs from their largest
            weight, by the name of the convolution.
    """

    graph: Graph
    activations: Mapping[str, QParams]
    per_channel: bool = True
    input_type: Ends = "uint8"
    output_type: Ends = "uint8"
    kernel_scales: Mapping[str, Tensor] = field(default_factory=dict)

    def kernel(self, node: Conv) -> FakeKernel:
        """The live kernel of a convolution, rounded."""
        return self.rounded_kernel(node, *node.kernel())

    def rounded_kernel(self, node: Conv, weight: Tensor, bias: Tensor) -> FakeKernel:
        """A kernel of a convolution, rounded to what the file can hold."""
        source, result = self.activations[node.inputs[0]], self.activations[node.name]
        scales = self.kernel_scales.get(node.name)
        return fake_kernel(weight, bias, source, result, self.per_channel, scales)

    def rounded(self, node: Node, values: Tensor) -> Tensor:
        """Values of a node's tensor, rounded to its levels and clipped to its range."""
        return self.activations[node.name].fake(values)

    def compute(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Compute one node from rounded inputs and round its output."""
        rounded = partial(self.rounded, node)
        if isinstance(node, Conv):
            kernel = self.kernel(node)
            y = node.convolve(inputs[0], kernel.weight, kernel.bias)
            return rounded(node.bounds.apply(y))
        if isinstance(node, PReLU):
            return rounded(self._prelu(node, inputs[0]))
        if isinstance(node, Add):
            return rounded(node.bounds.apply(self._add(node, *inputs)))
        if isinstance(node, Clip | Input):
            return rounded(node.run(*inputs))
        return node.run(*inputs)

    def _add(self, node: Add, x: Tensor, y: Tensor) -> Tensor:
        """Round halves upwards, as XNNPACK does: they are common where scales are alike."""
        step_x, step_y = (self.activations[name].scale for name in node.inputs)
        scale = self.activations[node.name].scale
        with torch.no_grad():
            exact = (x / step_x).round().double() * step_x + (y / step_y).round().double() * step_y
            levels = (exact / scale + 0.5).floor()
        return _replaced(x + y, levels * scale)

    def _prelu(self, node: PReLU, x: Tensor) -> Tensor:
        slope, slope_scale = fake_slope(node.slope())
        y = F.prelu(x, slope)
        with torch.no_grad():
            step = self.activations[node.inputs[0]].scale
            scale = self.activations[node.name].scale
            levels = (x / step).round()
            slopes = (slope / slope_scale).round().view(-1, 1, 1)
            negative = rescaled(levels * slopes, step * slope_scale / scale)
            positive = rescaled(levels, step / scale)
        return _replaced(y, torch.where(x < 0, negative, positive) * scale)

    def run(self, low_res: Tensor) -> Tensor:
        """Enlarge ``(N, 3, H, W)`` in [0, 1] as the INT8 file does.

        Returns:
            ``(N, 3, scale * H, scale * W)`` on the output's levels. Equal to the file's output
            but for a value now and then that lies between two levels and is rounded the other
            way.
        """
        # Half precision has fewer digits than the grid.
        with torch.autocast(low_res.device.type, enabled=False):
            return last(self.graph.execute(low_res.float(), self.compute))


def _replaced(differentiable: Tensor, value: Tensor) -> Tensor:
    """The value of one tensor with the gradient of another."""
    return differentiable + (value.to(differentiable.dtype) - differentiable).detach()
