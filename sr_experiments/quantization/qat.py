"""Quantisation-aware training: the network trains on the INT8 grid that ships.

Defaults are those of TensorFlow's model-optimization toolkit, which nearly all teams of the
Mobile AI challenge used: scales of kernels follow their largest weight, ranges of activations are
moving averages of each batch's minimum and maximum with decay 0.999. What we do otherwise:

- Ranges start from calibration images instead of -6 and 6, so that a trained network is not hurt
  in the first steps and short trainings need no warm-up.
- A step rounds with the averages up to the step before, and adds its own minimum and maximum
  afterwards: the graph that trains is at any time exactly the graph that would ship.
- Late in training the ranges stop (``freeze_at``), and the weights settle on their final grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.quantization.calibration import fixed_ranges, measured_ranges
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import MOVERS, Clip, Conv, Graph, Node
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.params import FakeKernel
from sr_experiments.quantization.qat_ranges import AveragedRanges, LearnedRanges
from sr_experiments.quantization.ranges import observer_of
from sr_experiments.quantization.sharing import scale_groups, separate_input

Ranges = Literal["moving_average", "learned"]


@dataclass(frozen=True)
class QuantizationAware(PostTraining):
    """Train on the INT8 grid; the file that ships has the ranges of the training.

    Attributes:
        ranges: ``moving_average`` of each batch's minimum and maximum, or ``learned``: the steps
            of activations and kernels are parameters with LSQ's gradient (PAMS learns those of
            the activations alone).
        decay: Share of a moving average that one batch keeps.
        freeze_at: Share of the training after which ranges stay as they are; 1 never.
        sqcl: Weight of the self-supervised calibration loss (FQSR, Wang et al., 2021): mean
            distance of each kernel and activation from its rounded self, summed over them. FQSR
            uses 0.3. It pulls in what lies outside the ranges, and moves learned ranges.
        reference: FP32 network that INT8 is compared with: ``auto`` (the network the training
            started from; from scratch, a twin), ``twin`` (one that trains beside it, in floating
            point, on the same batches), a run folder or safetensors file, the name of an
            earlier stage, or a network.
    """

    ranges: Ranges = "moving_average"
    decay: float = 0.999
    freeze_at: float = 0.8
    sqcl: float = 0.0
    reference: str | SRModel = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ranges not in get_args(Ranges):
            known = ", ".join(get_args(Ranges))
            raise UserError(f"quantization.ranges={self.ranges} is unknown; choose {known}")
        if not 0 <= self.decay < 1:
            raise UserError(f"quantization.decay={self.decay} must be from 0 to below 1")
        if not 0 <= self.freeze_at <= 1:
            raise UserError(f"quantization.freeze_at={self.freeze_at} must be from 0 to 1")
        if self.sqcl < 0:
            raise UserError(f"quantization.sqcl={self.sqcl} is negative")
        for key in ("equalize", "adaptive_rounding", "bias_correction"):
            if getattr(self, key):
                raise UserError(
                    f"quantization.{key} mends a network that does not train any more; leave it "
                    "to ptq"
                )

    def start(self, graph: Graph, calibration: Tensor) -> QuantizationTraining:
        """Measure the ranges that training starts from.

        Args:
            graph: A traced network, which goes on training.
            calibration: ``(N, 3, H, W)`` low-resolution images in [0, 1].
        """
        return QuantizationTraining(self, graph, calibration)


class QuantizationTraining(nn.Module):
    """The ranges of a network that trains; a checkpoint holds them in its state dict.

    Args:
        mode: How to quantise.
        graph: The network that trains.
        calibration: Images that the first ranges are measured on.
    """

    def __init__(self, mode: QuantizationAware, graph: Graph, calibration: Tensor) -> None:
        super().__init__()
        self.mode = mode
        self.graph = separate_input(graph)
        self.groups = scale_groups(self.graph)
        fixed = fixed_ranges(self.graph, self.groups, fixed_output=mode.fixed_output)
        self.ranges: AveragedRanges | LearnedRanges
        if mode.ranges == "learned":
            free = {self.groups[node.name]: node.name for node in self.graph.nodes}
            learned = {group: name for group, name in free.items() if group not in fixed}
            self.ranges = LearnedRanges(mode.quantize(graph, calibration), learned)
        else:
            observer = observer_of(mode.observer)
            measured = measured_ranges(self.graph, self.groups, fixed, observer, calibration)
            picture = self.groups[graph.output]
            self.ranges = AveragedRanges(
                measured, picture, mode.decay, mode.symmetric, calibration.device
            )
        self._distances: list[Tensor] = []

    def quantized(self, graph: Graph | None = None) -> QuantizedGraph:
        """The graph with the ranges as they are now: what a file is written from.

        Args:
            graph: Of a network of the same wiring, such as the average of the weights; None:
                that of the network that trains.
        """
        graph = self.graph if graph is None else separate_input(graph)
        # Fixed ranges are read again: a learned clip may have moved.
        fixed = fixed_ranges(graph, self.groups, fixed_output=self.mode.fixed_output)
        ranges = self.ranges.params() | fixed
        return QuantizedGraph(
            graph,
            {node.name: ranges[self.groups[node.name]] for node in graph.nodes},
            self.mode.per_channel,
            self.mode.input_type,
            self.mode.output_type,
            {name: scales.detach() for name, scales in self.ranges.kernel_scales().items()},
        )

    def run(self, low_res: Tensor) -> Tensor:
        """Enlarge ``(N, 3, H, W)`` in [0, 1] on the INT8 grid, with gradients.

        In training mode the ranges take the batch in, and rounding is that of arithmetic: a
        kernel's own, which evaluation has, differs by a level now and then and costs a third more.
        """
        ships = self.quantized()
        if not self.training:
            return ships.run(low_res)
        step = _Step(
            ships.graph,
            ships.activations,
            ships.per_channel,
            kernel_scales=self.ranges.kernel_scales(),
            training=self,
        )
        self._distances = []
        prediction = step.run(low_res)
        self.ranges.finish()
        return prediction

    def penalty(self) -> Tensor | None:
        """The weighted calibration loss of the last batch; None where it is off."""
        if not self._distances:
            return None
        return self.mode.sqcl * torch.stack(self._distances).sum()

    def advance(self, share: float) -> None:
        """Tell how much of the training is done, from 0 to 1: late on, the ranges freeze."""
        if self.mode.freeze_at < 1 and share >= self.mode.freeze_at:
            self.ranges.freeze()

    def compare(self, before: Tensor, after: Tensor) -> None:
        """Count what rounding changed in the calibration loss."""
        if self.mode.sqcl:
            self._distances.append(F.l1_loss(after, before))


@dataclass(frozen=True)
class _Step(QuantizedGraph):
    """One pass of training: what ships, and the ranges watch and learn."""

    training: QuantizationTraining = field(kw_only=True)

    def rounded(self, node: Node, values: Tensor) -> Tensor:
        group = self.training.groups[node.name]
        if group in self.training.ranges.order:
            params = self.activations[node.name]
            rounded = self.training.ranges.rounded(group, values, params)
        else:
            rounded = super().rounded(node, values)
        self.training.compare(values, rounded)
        return rounded

    def compute(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        if isinstance(node, MOVERS) and not isinstance(node, Clip):
            return node.run(*inputs)
        if isinstance(node, Conv):
            kernel = self.kernel(node)
            result = node.bounds.apply(node.convolve(inputs[0], kernel.weight, kernel.bias))
        else:
            result = self.differentiable(node, inputs)
        return self.rounded(node, result)

    def rounded_kernel(self, node: Conv, weight: Tensor, bias: Tensor) -> FakeKernel:
        kernel = super().rounded_kernel(node, weight, bias)
        self.training.compare(weight, kernel.weight)
        return kernel
