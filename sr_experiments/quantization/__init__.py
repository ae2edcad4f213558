"""Tracing a network into one graph, and quantising that graph."""

from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Graph, receptive_radius
from sr_experiments.quantization.int16 import Int16Activations
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.quantization.qat import QuantizationAware, QuantizationTraining
from sr_experiments.quantization.ranges import (
    Entropy,
    LeastSquares,
    MinMax,
    MovingAverage,
    Percentile,
)
from sr_experiments.quantization.trace import UnsupportedOperator, trace

__all__ = [
    "Entropy",
    "Graph",
    "HalfPrecision",
    "Int16Activations",
    "LeastSquares",
    "MinMax",
    "MovingAverage",
    "NoQuantization",
    "Percentile",
    "PostTraining",
    "QuantizationAware",
    "QuantizationTraining",
    "QuantizedGraph",
    "UnsupportedOperator",
    "receptive_radius",
    "trace",
]
