"""How numbers are written: as float32, or as int8 with scales.

The writer asks an encoding for every tensor and never looks at a number itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.deploy.flatbuffer import Quantization
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv, Gather, Mul, PReLU
from sr_experiments.quantization.params import WEIGHT_MAX, QParams, fake_slope

Encoded = tuple[NDArray[Any], Quantization | None]
FLOAT = np.dtype(np.float32)
HALF = np.dtype(np.float16)
INT8 = np.dtype(np.int8)
INT16 = np.dtype(np.int16)


class Encoding(Protocol):
    """A way to write the tensors of a graph."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what goes in and comes out."""

    def type_of(self, name: str) -> np.dtype[Any]:
        """Type of a node's tensor."""

    def activation(self, name: str) -> Quantization | None:
        """Quantisation of a node's tensor."""

    def kernel(self, node: Conv) -> tuple[Encoded, Encoded]:
        """Weight ``(O, I / groups, KH, KW)`` and bias ``(O,)`` of a convolution."""

    def picker(self, node: Gather, channels: int) -> tuple[Encoded, Encoded]:
        """Kernel and bias of the 1x1 convolution that picks channels."""

    def slope(self, node: PReLU) -> Encoded:
        """Slopes ``(C,)``."""

    def level(self, name: str, value: float) -> Encoded:
        """A number on the scale of a node's tensor, shape ``(1,)``."""

    def grows(self, node: Mul) -> bool:
        """Whether a product of levels is as large as a level of the output, or larger."""

    def cuts(self, name: str, value: float, *, above: bool) -> bool:
        """Whether a tensor has levels above a number, or below it, that a clip would change."""


class FloatEncoding:
    """Everything float32."""

    dtype: np.dtype[Any] = FLOAT

    def type_of(self, name: str) -> np.dtype[Any]:
        """Always float32."""
        return FLOAT

    def activation(self, name: str) -> Quantization | None:
        """No quantisation."""
        return None

    def kernel(self, node: Conv) -> tuple[Encoded, Encoded]:
        """The live kernel."""
        weight, bias = node.kernel()
        return (_float(weight), None), (_float(bias), None)

    def picker(self, node: Gather, channels: int) -> tuple[Encoded, Encoded]:
        """Ones and zeros."""
        weight = one_hot(node.index, channels).astype(np.float32)
        return (weight, None), (np.zeros(node.channels, np.float32), None)

    def slope(self, node: PReLU) -> Encoded:
        """The live slopes."""
        return _float(node.slope()), None

    def level(self, name: str, value: float) -> Encoded:
        """The number itself."""
        return np.array([value], np.float32), None

    def grows(self, node: Mul) -> bool:
        """There are no levels."""
        return False

    def cuts(self, name: str, value: float, *, above: bool) -> bool:
        """There always are numbers."""
        return True


class HalfEncoding(FloatEncoding):
    """Activations float32; kernels and slopes are held as float16 and widened when read."""

    def kernel(self, node: Conv) -> tuple[Encoded, Encoded]:
        """The live kernel, rounded to float16."""
        (weight, _), (bias, _) = super().kernel(node)
        return (weight.astype(HALF), None), (bias.astype(HALF), None)

    def slope(self, node: PReLU) -> Encoded:
        """The live slopes, rounded to float16."""
        return super().slope(node)[0].astype(HALF), None


@dataclass(frozen=True)
class Int8Encoding:
    """Everything int8 but the int32 biases; activations may be int16, their biases int64."""

    quantized: QuantizedGraph
    dtype: np.dtype[Any] = INT8

    def params(self, name: str) -> QParams:
        """Scale and zero point of a node's tensor."""
        return self.quantized.activations[name]

    def type_of(self, name: str) -> np.dtype[Any]:
        """By its bits."""
        return INT8 if self.params(name).bits == INT8.itemsize * 8 else INT16

    def _bias(self, node: Conv | Gather, bias: NDArray[Any]) -> NDArray[Any]:
        wide = self.type_of(node.inputs[0]) == INT16
        return bias.astype(np.int64 if wide else np.int32)

    def activation(self, name: str) -> Quantization | None:
        """One scale and zero point."""
        return per_tensor(self.params(name))

    def kernel(self, node: Conv) -> tuple[Encoded, Encoded]:
        """The live kernel, rounded."""
        fake = self.quantized.kernel(node)
        weight, bias = (tensor.cpu().numpy() for tensor in fake.integers())
        scales = fake.scales.cpu().numpy()
        bias_scales = fake.bias_scales.cpu().numpy()
        if not self.quantized.per_channel:
            scales, bias_scales = scales[:1], bias_scales[:1]
        return (weight, _symmetric(scales)), (self._bias(node, bias), _symmetric(bias_scales))

    def picker(self, node: Gather, channels: int) -> tuple[Encoded, Encoded]:
        """127 at scale 1/127: an exact copy, because input and output have one scale."""
        weight = one_hot(node.index, channels).astype(np.int8) * np.int8(WEIGHT_MAX)
        scale = np.array([1 / WEIGHT_MAX], np.float32)
        bias_scale = scale * np.float32(self.params(node.name).scale)
        bias = self._bias(node, np.zeros(node.channels))
        return (weight, _symmetric(scale)), (bias, _symmetric(bias_scale))

    def slope(self, node: PReLU) -> Encoded:
        """Symmetric int8 with one scale."""
        fake, scale = fake_slope(node.slope())
        slope = (fake / scale).round().detach().cpu().numpy().astype(np.int8)
        return slope, _symmetric(np.array([scale], np.float32))

    def level(self, name: str, value: float) -> Encoded:
        """The nearest level."""
        params = self.params(name)
        return np.array([params.quantize(value)], self.type_of(name)), per_tensor(params)

    def grows(self, node: Mul) -> bool:
        """By the scales."""
        first, second = (self.params(name).scale for name in node.inputs)
        return first * second >= self.params(node.name).scale

    def cuts(self, name: str, value: float, *, above: bool) -> bool:
        """The nearest level is not the last."""
        params = self.params(name)
        level = params.quantize(value)
        return level < params.highest if above else level > params.lowest


def per_tensor(params: QParams) -> Quantization:
    """Quantisation of an activation."""
    return Quantization(
        np.array([params.scale], np.float32), np.array([params.zero_point], np.int64)
    )


def one_hot(index: tuple[int, ...], channels: int) -> NDArray[np.bool_]:
    """``(len(index), channels, 1, 1)`` kernel that picks ``index`` out of ``channels``."""
    picked: NDArray[np.bool_] = np.eye(channels, dtype=np.bool_)[list(index)]
    return picked[:, :, None, None]


def _symmetric(scales: NDArray[np.float32]) -> Quantization:
    return Quantization(scales, np.zeros(len(scales), np.int64))


def _float(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().float().numpy()
