"""Ranges that move while a network trains: averaged over its batches, or learned with it.

Both are modules, so that a checkpoint holds them, and both work on groups: tensors that share a
scale (see ``sharing``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sr_experiments.quantization.calibration import Range, covering_a_picture
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv
from sr_experiments.quantization.params import QMAX, QMIN, QParams
from sr_experiments.quantization.steps import stepped

LEAST_FACTOR = 0.01  # a learned step stays positive


class TrainedRanges(nn.Module):
    """What both kinds have in common.

    Attributes:
        widest: Of (N, 2) minima and maxima of this process's part of a batch, those of the whole
            batch; the same where one process has all of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.widest: Callable[[Tensor], Tensor] = _as_seen


class AveragedRanges(TrainedRanges):
    """Minimum and maximum of each batch, averaged with decaying weight.

    Args:
        measured: Where the ranges start, by group.
        picture: Group of the output, which covers at least [0, 1].
        decay: Share of the average that a batch keeps.
        symmetric: Zero points are 0.
        device: Of the ranges.
    """

    ends: Tensor
    frozen: Tensor

    def __init__(
        self,
        measured: Mapping[str, Range],
        picture: str,
        decay: float,
        symmetric: bool,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.order = list(measured)
        self.picture = picture
        self.decay = decay
        self.symmetric = symmetric
        ends = torch.tensor(list(measured.values())).view(-1, 2)
        self.register_buffer("ends", _with_zero(ends).to(device))
        self.register_buffer("frozen", torch.tensor(False, device=device))
        self._seen: dict[str, list[Tensor]] = {}

    def params(self) -> dict[str, QParams]:
        """Scale and zero point by group."""
        params: dict[str, QParams] = {}
        for group, (low, high) in zip(self.order, self.ends.tolist(), strict=True):
            if group == self.picture:
                low, high = covering_a_picture((low, high))
            params[group] = QParams.of_range(low, high, self.symmetric)
        return params

    def kernel_scales(self) -> dict[str, Tensor]:
        """None: kernels' scales follow their largest weight."""
        return {}

    def rounded(self, group: str, values: Tensor, params: QParams) -> Tensor:
        """Round, and remember the tensor's extremes."""
        if self.training:
            self._seen.setdefault(group, []).append(torch.stack(torch.aminmax(values.detach())))
        return params.fake(values)

    @torch.no_grad()
    def finish(self) -> None:
        """Move the averages by what was seen."""
        seen, self._seen = self._seen, {}
        if self.frozen or not seen:
            return
        extremes = [torch.stack(seen[group]) for group in self.order]
        ends = torch.stack([torch.stack([e[:, 0].amin(), e[:, 1].amax()]) for e in extremes])
        # Zero is inside every range; TensorFlow, too, widens a batch's before averaging it.
        self.ends.lerp_(_with_zero(self.widest(ends)), 1 - self.decay)

    def freeze(self) -> None:
        """Stop averaging."""
        self.frozen.fill_(True)


class LearnedRanges(TrainedRanges):
    """Steps of activations and kernels as parameters, with LSQ's gradient.

    Zero points stay those of the calibration: what is learned is how far a range reaches. A
    parameter is a factor of the step that training started from, so that Adam moves all steps
    alike, by a share of their size.

    Args:
        first: The network as post-training quantisation makes it.
        learned: Groups whose range is not fixed, each with one of its tensors.
    """

    steps: Tensor
    kernel_steps: Tensor
    zero_points: Tensor
    frozen: Tensor

    def __init__(self, first: QuantizedGraph, learned: Mapping[str, str]) -> None:
        super().__init__()
        params = [first.activations[tensor] for tensor in learned.values()]
        kernels: dict[str, Tensor] = {}
        for node in first.graph.nodes:
            if isinstance(node, Conv):
                weight, bias = node.kernel()
                if weight.requires_grad:  # a constant kernel keeps its exact scale
                    kernels[node.name] = first.rounded_kernel(node, weight, bias).scales
        self.order = list(learned)
        self.channels = {name: len(scales) for name, scales in kernels.items()}
        self.per_channel = first.per_channel
        steps = [scales if first.per_channel else scales[:1] for scales in kernels.values()]
        device = steps[0].device
        self.register_buffer("steps", torch.tensor([p.scale for p in params], device=device))
        self.register_buffer("kernel_steps", torch.cat(steps))
        zero_points = torch.tensor([p.zero_point for p in params], device=device)
        self.register_buffer("zero_points", zero_points)
        self.register_buffer("frozen", torch.tensor(False, device=device))
        self.factors = nn.Parameter(torch.ones_like(self.steps))
        self.kernel_factors = nn.Parameter(torch.ones_like(self.kernel_steps))

    def params(self) -> dict[str, QParams]:
        """Scale and zero point by group."""
        pairs = zip(self._steps().tolist(), self.zero_points.tolist(), strict=True)
        return {group: QParams(*pair) for group, pair in zip(self.order, pairs, strict=True)}

    def kernel_scales(self) -> dict[str, Tensor]:
        """Scales ``(O,)`` by convolution."""
        steps = self.kernel_steps * self._live(self.kernel_factors)
        lengths = [size if self.per_channel else 1 for size in self.channels.values()]
        parts = zip(self.channels.items(), torch.split(steps, lengths), strict=True)
        return {name: part.expand(size) for (name, size), part in parts}

    def rounded(self, group: str, values: Tensor, params: QParams) -> Tensor:
        """Round; the step gets a gradient."""
        step = self._steps()[self.order.index(group)]
        return stepped(values, step, params.zero_point, QMIN, QMAX)

    def finish(self) -> None:
        """Nothing to take in: the optimiser moves the steps."""

    def freeze(self) -> None:
        """Give the steps no gradient any more."""
        self.frozen.fill_(True)

    def _steps(self) -> Tensor:
        return self.steps * self._live(self.factors)

    def _live(self, factors: Tensor) -> Tensor:
        return (factors.detach() if self.frozen else factors).clamp(min=LEAST_FACTOR)


def _as_seen(ends: Tensor) -> Tensor:
    return ends


def _with_zero(ends: Tensor) -> Tensor:
    return torch.stack([ends[:, 0].clamp(max=0), ends[:, 1].clamp(min=0)], 1)
