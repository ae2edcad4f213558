"""A graph on the INT8 grid, in floating point: what training sees and what the file computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_experiments.quantization import integers, wide_integers
from sr_experiments.quantization.graph import (
    MOVERS,
    OPEN,
    Binary,
    Bounds,
    Clip,
    Conv,
    Graph,
    LeakyReLU,
    Mean,
    Mul,
    Node,
    PReLU,
    Requantize,
    Sub,
    Unary,
    last,
)
from sr_experiments.quantization.params import (
    FakeKernel,
    QParams,
    fake_kernel,
    fake_slope,
    rescaled,
)

Ends = Literal["uint8", "int8", "float32"]
BITS = 8  # of the kernels whose rounding ``integers`` knows


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
        exact: The graph before its kernels were mended for INT8; None where they were not.
    """

    graph: Graph
    activations: Mapping[str, QParams]
    per_channel: bool = True
    input_type: Ends = "uint8"
    output_type: Ends = "uint8"
    kernel_scales: Mapping[str, Tensor] = field(default_factory=dict)
    exact: Graph | None = None

    @property
    def floating(self) -> Graph:
        """What INT8 stands for: the same nodes in floating point."""
        return self.exact or self.graph

    @property
    def wide(self) -> bool:
        """Whether there are int16 activations."""
        return any(params.bits != BITS for params in self.activations.values())

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
        if isinstance(node, MOVERS) and not isinstance(node, Clip):
            return node.run(*inputs)
        levels: Tensor | None
        if isinstance(node, Conv):
            result, levels = self._convolved(node, inputs[0])
        else:
            result, levels = self.differentiable(node, inputs), self._levels(node, inputs)
        rounded = self.rounded(node, result)
        if levels is None:
            return rounded
        bounds = node.bounds if isinstance(node, Conv | Binary) else OPEN
        return _replaced(rounded, self._values(node, levels, bounds).to(rounded.dtype))

    @torch.no_grad()
    def _values(self, node: Node, levels: Tensor, bounds: Bounds) -> Tensor:
        """Clipped values for levels that count from the zero point."""
        params = self.activations[node.name]
        low = params.lowest if bounds.low is None else params.quantize(bounds.low)
        high = params.highest if bounds.top is None else params.quantize(bounds.top)
        zero = params.zero_point
        # A minimum after a maximum, as the operators are, should they cross.
        return levels.clamp(min=low - zero).clamp_(max=high - zero) * params.scale

    def _convolved(self, node: Conv, x: Tensor) -> tuple[Tensor, Tensor]:
        """A convolution of levels, which float32 adds up exactly, and what it is rounded to."""
        kernel = self.kernel(node)
        scales = kernel.scales.view(-1, 1, 1, 1)
        source, result = self.activations[node.inputs[0]], self.activations[node.name]
        operands = (
            _as_levels(x, source.scale),
            _as_levels(kernel.weight, scales),
            _as_levels(kernel.bias, kernel.bias_scales),
        )
        sums = node.convolve(*operands)
        unit = kernel.bias_scales.to(sums).view(-1, 1, 1)
        factor = unit / result.scale
        with torch.no_grad():
            if source.bits == BITS:
                levels = sums.round().mul_(factor).round_()
            else:  # float32 has too few digits
                x, weight, bias = (operand.double() for operand in operands)
                levels = wide_integers.rounded_sums(node.convolve(x, weight, bias), factor)
        return node.bounds.apply(sums * unit), levels

    def differentiable(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """The output without its own rounding."""
        if isinstance(node, PReLU):
            return F.prelu(inputs[0], fake_slope(node.slope())[0])
        if isinstance(node, Unary) and node.function == "sqrt":
            # A root has no gradient at zero, where rounding puts many values.
            inputs = [inputs[0].clamp(min=self.activations[node.inputs[0]].scale)]
        return node.run(*inputs)

    @torch.no_grad()
    def _levels(self, node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
        """What LiteRT's kernel computes, in levels from the zero point, before it clips.

        None where that is the nearest level, or among so many levels that it does not matter.
        """
        result = self.activations[node.name]
        wide = result.bits != BITS
        steps = [self.activations[name].scale for name in node.inputs]
        levels = [(x / step).round().int() for x, step in zip(inputs, steps, strict=False)]
        made: Tensor | None = None
        rules = wide_integers if wide else integers
        if isinstance(node, Requantize):
            made = rescaled(levels[0], steps[0] / result.scale)
        elif isinstance(node, Binary):
            x, y = levels
            scales = steps[0], steps[1], result.scale
            if isinstance(node, Mul):
                made = rules.multiplied(x, y, scales)
            else:
                made = rules.summed(x, y, scales, sign=-1 if isinstance(node, Sub) else 1)
        elif isinstance(node, LeakyReLU):
            made = rules.leaky(levels[0], float(node.slope()), steps[0], result.scale)
        elif isinstance(node, PReLU):
            made = integers.prelu(levels[0], node.slope(), steps[0], result.scale)
        elif isinstance(node, Unary) and node.function == "sqrt":
            made = integers.rooted(levels[0], steps[0], result.scale)
        elif isinstance(node, Mean) and not wide:
            made = integers.averaged(levels[0], steps[0], result.scale)
        return made

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


def _as_levels(values: Tensor, scale: Tensor | float) -> Tensor:
    """Whole numbers for values that lie on a grid; the gradient is that of the division."""
    made: Tensor = _Levels.apply(values, scale)
    return made


class _Levels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor | float) -> Tensor:
        ctx.scale = scale
        return (values / scale).round_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient / ctx.scale, None


def _replaced(differentiable: Tensor, value: Tensor) -> Tensor:
    """The value of one tensor with the gradient of another."""
    made: Tensor = _Replaced.apply(differentiable, value.detach())
    return made


class _Replaced(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, differentiable: Tensor, value: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
