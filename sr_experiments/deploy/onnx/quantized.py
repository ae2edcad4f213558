"""INT8 as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_experiments.deploy.onnx.writer import Writer, as_float
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv, Node, PReLU
from sr_experiments.quantization.params import QParams, fake_slope

BITS = 8


class QuantizedWriter(Writer):
    """Rounds every kernel and every tensor as the INT8 TFLite file does.

    Args:
        quantized: What is written.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__(quantized.graph)
        self.quantized = quantized
        self._levels: dict[QParams, list[str]] = {}

    def kernel(self, node: Conv) -> tuple[str, str]:
        """Weight as int8 and bias as int32, each with its scales."""
        fake = self.quantized.kernel(node)
        pairs = zip(fake.integers(), (fake.scales, fake.bias_scales), strict=True)
        weight, bias = (
            self._dequantized(integers.cpu().numpy(), scales.cpu().numpy())
            for integers, scales in pairs
        )
        return weight, bias

    def slope(self, node: PReLU) -> str:
        """Slopes as the TFLite file rounds them."""
        return self.constant(as_float(fake_slope(node.slope())[0]).reshape(-1, 1, 1))

    def finished(self, node: Node, made: str) -> str:
        """Round to the levels of the node's tensor."""
        params = self.quantized.activations[node.name]
        levels = self._levels.get(params)
        if levels is None:
            scale = self.constant(np.array(params.scale, np.float32))
            kind = np.int8 if params.bits == BITS else np.int16
            levels = [scale, self.constant(np.array(params.zero_point, kind))]
            self._levels[params] = levels
        rounded = self.operator("QuantizeLinear", [made, *levels])
        return self.operator("DequantizeLinear", [rounded, *levels])

    def _dequantized(self, integers: NDArray[Any], scales: NDArray[np.float32]) -> str:
        if not self.quantized.per_channel:
            scales = scales[0]
        zero = self.constant(np.zeros(scales.shape, integers.dtype))
        inputs = [self.constant(integers), self.constant(scales), zero]
        return self.operator("DequantizeLinear", inputs, axis=0)
