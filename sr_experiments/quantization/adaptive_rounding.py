"""AdaRound (Nagel et al., 2020, arXiv:2004.10568): round each weight up or down on purpose.

Nearest is best for a weight alone, not for the sum it is part of. Layer after layer, on
calibration images, each weight learns which of its two levels keeps the layer's output closest to
that of the floating-point network, given an input that is rounded already.

What we do otherwise: the reconstruction error counts relative to that of nearest rounding, so that
one regulariser fits layers of any magnitude, and a layer that did not get better keeps nearest
rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Conv
from sr_experiments.quantization.lockstep import mended
from sr_experiments.quantization.params import WEIGHT_MAX, FakeKernel

LOW, HIGH = -0.1, 1.1  # the sigmoid is stretched to these and cut, so that it reaches 0 and 1
BETA = 20.0, 2.0  # steepness of the regulariser, from the start of the training to its end
FREE = 0.2  # share of the training without regulariser
WEIGHT = 0.1  # of the regulariser's mean
RATE = 0.02  # of Adam
BATCH = 4  # images a step


def adaptively_rounded(quantized: QuantizedGraph, images: Tensor, steps: int) -> QuantizedGraph:
    """Choose the rounding of every kernel.

    Args:
        quantized: A quantised network.
        images: ``(N, 3, H, W)`` low-resolution images in [0, 1].
        steps: Of the training of each layer.
    """
    generator = torch.Generator().manual_seed(0)

    def chosen(
        conv: Conv, kernel: FakeKernel, exact: Tensor, rounded: Tensor
    ) -> tuple[Tensor, Tensor]:
        return _choose(conv, kernel, exact, rounded, steps, generator)

    return mended(quantized, images, chosen)


def _choose(
    conv: Conv,
    kernel: FakeKernel,
    exact: Tensor,
    rounded: Tensor,
    steps: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    weight, bias = (tensor.detach().to(exact) for tensor in conv.kernel())
    wanted = conv.bounds.apply(conv.convolve(exact, weight, bias))
    scales = kernel.scales.view(-1, 1, 1, 1)

    def error(candidate: Tensor, index: Tensor) -> Tensor:
        made = conv.bounds.apply(conv.convolve(rounded[index], candidate, kernel.bias))
        return (made - wanted[index]).square().mean()

    everything = torch.arange(len(exact))
    nearest = error(kernel.weight, everything)
    if not nearest:
        return weight, bias
    floor = (weight / scales).floor()
    with torch.enable_grad():
        share = ((weight / scales - floor).clamp(0.01, 0.99) - LOW) / (HIGH - LOW)
        logits = torch.logit(share).requires_grad_()
        optimizer = torch.optim.Adam([logits], RATE)
        for step in range(steps):
            up = _up(logits)
            levels = (floor + up).clamp(-WEIGHT_MAX, WEIGHT_MAX)
            index = torch.randperm(len(exact), generator=generator)[:BATCH]
            loss = error(levels * scales, index) / nearest
            done = (step / steps - FREE) / (1 - FREE)
            if done >= 0:
                beta = BETA[0] + (BETA[1] - BETA[0]) * done
                loss = loss + WEIGHT * (1 - (2 * up - 1).abs().pow(beta)).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    best = (floor + (_up(logits.detach()) >= 0.5)).clamp(-WEIGHT_MAX, WEIGHT_MAX) * scales
    better = error(best, everything) < nearest
    return (best if better else kernel.weight), bias


def _up(logits: Tensor) -> Tensor:
    return (logits.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)
