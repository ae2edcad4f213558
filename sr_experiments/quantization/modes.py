"""The modes of the configuration group ``quantization``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, get_args

import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.quantization.adaptive_rounding import adaptively_rounded
from sr_experiments.quantization.bias_correction import ENOUGH, bias_corrected
from sr_experiments.quantization.calibration import (
    covering_a_picture,
    fixed_ranges,
    measured_ranges,
)
from sr_experiments.quantization.equalization import equalized
from sr_experiments.quantization.fake import Ends, QuantizedGraph
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.params import QParams
from sr_experiments.quantization.ranges import Observer, observer_of
from sr_experiments.quantization.sharing import scale_groups, separate_input


class CalibrationData(Protocol):
    """A data set that ranges can be measured on."""

    def calibration(self, count: int, size: int, source: str) -> Tensor:
        """``count`` fixed low-resolution crops of ``size`` pixels out of a named set."""


@dataclass(frozen=True)
class NoQuantization:
    """Floating point only: no INT8 file is made and no drop is measured."""


@dataclass(frozen=True)
class HalfPrecision:
    """Weights rounded to float16: half the file, for devices that compute in float16.

    The file is measured as LiteRT runs it on a CPU, in float32 on the rounded weights; GPUs and
    NPUs round activations, too, which ``evaluate runtime=torch_fp16`` shows.
    """


@dataclass(frozen=True)
class PostTraining:
    """Quantise the network as it is, with ranges measured on calibration images.

    Attributes:
        per_channel: A weight scale for each output channel; NPUs that only have one for the whole
            kernel need False.
        observer: Rule for the ranges: ``minmax``, ``moving_average``, ``percentile``, ``mse``, or
            an observer of ``ranges`` with its own settings.
        calibration_set: Where the crops come from that ranges are measured on: ``train``, ``val``,
            or any set that ``data.train`` could name.
        calibration_images: How many low-resolution crops.
        calibration_size: Their side in pixels.
        symmetric: Zero points of activations are 0, as some NPUs need it; the picture and a
            clipped output keep their pixel values.
        fixed_output: Give the output the levels of a picture (scale 1/255, zero point -128)
            whatever was measured; a linear output is clipped to [0, 1] (Antins_cv's
            MovingAvgWithFixedQuantize).
        equalize: Cross-layer equalisation first, see ``equalization``.
        adaptive_rounding: Steps of AdaRound for each layer, see ``adaptive_rounding``; 0 rounds
            to the nearest level.
        bias_correction: Take the shift of each channel's mean off the biases, see
            ``bias_correction``.
        input_type: Of the file: ``uint8``, ``int8`` or ``float32``.
        output_type: The same for its output.
    """

    per_channel: bool = True
    observer: str | Observer = "minmax"
    calibration_set: str = "train"
    calibration_images: int = 16
    calibration_size: int = 64
    symmetric: bool = False
    fixed_output: bool = False
    equalize: bool = False
    adaptive_rounding: int = 0
    bias_correction: bool = False
    input_type: Ends = "uint8"
    output_type: Ends = "uint8"

    def __post_init__(self) -> None:
        observer_of(self.observer)
        for end in ("input_type", "output_type"):
            value = getattr(self, end)
            if value not in get_args(Ends):
                raise UserError(
                    f"quantization.{end}={value} is unknown; choose {', '.join(get_args(Ends))}"
                )
        for count in ("calibration_images", "calibration_size"):
            if getattr(self, count) < 1:
                raise UserError(f"quantization.{count} must be at least 1")
        if self.adaptive_rounding < 0:
            raise UserError(f"quantization.adaptive_rounding={self.adaptive_rounding} is negative")

    def images(self, data: CalibrationData) -> Tensor:
        """The calibration images, ``(N, 3, H, W)`` in [0, 1]."""
        return data.calibration(
            self.calibration_images, self.calibration_size, self.calibration_set
        )

    @torch.no_grad()
    def quantize(self, graph: Graph, calibration: Tensor) -> QuantizedGraph:
        """Measure the ranges and give every tensor a scale.

        The input's levels are the pixel values. An output that the network clips has exactly the
        clip's range (scale 1/255 for [0, 1], so the clip itself costs nothing); a linear one
        covers at least [0, 1].

        Args:
            graph: A traced network.
            calibration: ``(N, 3, H, W)`` low-resolution images in [0, 1].
        """
        graph = separate_input(equalized(graph) if self.equalize else graph)
        groups = scale_groups(graph)
        fixed = fixed_ranges(graph, groups, fixed_output=self.fixed_output)
        observer = observer_of(self.observer)
        measured = measured_ranges(graph, groups, fixed, observer, calibration)
        picture = groups[graph.output]
        if picture in measured:
            measured[picture] = covering_a_picture(measured[picture])
        ranges = {
            group: QParams.of_range(*ends, symmetric=self.symmetric)
            for group, ends in measured.items()
        } | fixed
        activations = {node.name: ranges[groups[node.name]] for node in graph.nodes}
        quantized = QuantizedGraph(
            graph, activations, self.per_channel, self.input_type, self.output_type
        )
        if self.adaptive_rounding:
            quantized = adaptively_rounded(quantized, calibration, self.adaptive_rounding)
        if self.bias_correction:
            quantized = bias_corrected(quantized, calibration[:ENOUGH])
        return quantized
