"""Networks wired at random: whatever can be traced runs everywhere, and alike."""

import importlib.util
import operator
import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, TorchRuntime
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.models import SRModel
from sr_experiments.models.blocks import BicubicUpscale, ClippedReLU, RepeatChannels
from sr_experiments.quantization import PostTraining, receptive_radius, trace

BINARY = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


class Attention(nn.Module):
    """Channels weighed by what a convolution makes of their mean, or their spread."""

    def __init__(self, width: int, spread: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1)
        self.spread = spread

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        if self.spread:
            pooled = pooled + x.std((2, 3), correction=0, keepdim=True)
        return x * self.conv(pooled).sigmoid()


class RandomNetwork(SRModel):
    """Up to eight operators that read any recent tensor, then one of five ways to end."""

    def __init__(self, seed: int) -> None:
        choose = random.Random(seed)
        torch.manual_seed(seed)
        super().__init__(choose.choice([2, 3, 4]))
        self.layers = nn.ModuleList()
        self.steps: list[tuple[str, Any, int]] = []
        channels = [3]
        for _ in range(choose.randint(2, 8)):
            source = choose.randrange(max(0, len(channels) - 3), len(channels))
            width = channels[source]
            kind = choose.choice(["layer"] * 7 + ["concat", "scale", "shift", "split", *BINARY])
            if kind == "layer":
                layer, width = random_layer(choose, width)
                self.layers.append(layer)
                self.steps.append((kind, len(self.layers) - 1, source))
            elif kind == "concat":
                other = choose.randrange(len(channels))
                self.steps.append((kind, other, source))
                width += channels[other]
            elif kind in BINARY:
                fitting = [i for i, other in enumerate(channels) if other == width]
                self.steps.append((kind, choose.choice(fitting), source))
            elif kind == "split":
                self.steps.append((kind, choose.randint(1, width - 1), source))
            else:
                self.steps.append((kind, choose.choice([0.5, -1.3, 2.0]), source))
            channels.append(width)
        self.tail = nn.Conv2d(channels[-1], 3 * self.scale**2, 3, padding=1)
        self.anchor = RepeatChannels(self.scale**2)
        self.shuffle = nn.PixelShuffle(self.scale)
        self.bicubic = BicubicUpscale(self.scale)
        self.high = nn.Conv2d(3, 3, 3, padding=1)
        self.end = choose.choice(["linear", "clipped", "anchor", "two shuffles", "bicubic"])

    def forward(self, low_res: Tensor) -> Tensor:
        tensors = [low_res]
        for kind, value, source in self.steps:
            x = tensors[source]
            if kind == "layer":
                x = self.layers[value](x)
            elif kind == "concat":
                x = torch.cat([x, tensors[value]], 1)
            elif kind in BINARY:
                x = BINARY[kind](x, tensors[value])
            elif kind == "split":
                first, second = x[:, :value], x[:, value:]
                x = torch.cat([second, first.relu()], 1)
            else:
                x = x * value if kind == "scale" else x + value
            tensors.append(x)
        y: Tensor = self.tail(tensors[-1])
        if self.end == "anchor":
            return self.shuffle(y + self.anchor(low_res)).clamp(0, 1)
        if self.end == "two shuffles":
            return (self.shuffle(y) + self.shuffle(self.anchor(low_res))).clamp(max=1.0)
        y = self.shuffle(y)
        if self.end == "clipped":
            return y.clamp(0, 1)
        return y if self.end == "linear" else self.high(y) + self.bicubic(low_res)


def random_layer(choose: random.Random, width: int) -> tuple[nn.Module, int]:
    groups = next(g for g in (4, 3, 2, 1) if width % g == 0)
    multiple = choose.choice([1, 2])
    norm = nn.BatchNorm2d(width)
    for tensor in (norm.weight, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]
    slopes = nn.PReLU(choose.choice([1, width]))
    nn.init.uniform_(slopes.weight, -0.3, 0.9)
    wide = choose.choice([4, 8, 12])
    return choose.choice(
        [
            (nn.Conv2d(width, wide, choose.choice([1, 3, 5]), padding="same"), wide),
            (nn.Conv2d(width, groups * wide, 3, padding=1, groups=groups), groups * wide),
            (nn.Conv2d(width, width * multiple, 3, padding=1, groups=width), width * multiple),
            (slopes, width),
            (norm, width),
            (nn.ReLU(), width),
            (nn.Hardtanh(-0.3, 0.6), width),
            (ClippedReLU(0.5, learned=True), width),
            (RepeatChannels(2), width * 2),
            (nn.LeakyReLU(choose.choice([0.01, 0.2])), width),
            (choose.choice([nn.Sigmoid, nn.Tanh, nn.ELU, nn.GELU])(), width),
            (choose.choice([nn.SiLU, nn.Hardswish, nn.Hardsigmoid])(), width),
            (Attention(width, choose.choice([False, True])), width),
            (nn.Conv2d(width, wide, 3, padding=2, dilation=2), wide),
            (nn.Conv2d(width, wide, 3, padding=1, padding_mode="reflect"), wide),
            (choose.choice([nn.MaxPool2d, nn.AvgPool2d])(3, 1, 1), width),
            (nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), width),
            (nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")), width),
        ]
    )


@pytest.mark.parametrize("seed", range(30))
def test_random_network_runs_alike_everywhere(seed: int, low_res: NDArray[np.uint8]) -> None:
    image = low_res[None, :20, :26]
    model = RandomNetwork(seed).eval()
    graph = trace(model)
    expected = TorchRuntime(model).predict(image)
    tolerance = 0.02 * max(1.0, expected.std() / 30)
    file = LiteRTRuntime(float_model(graph))
    assert np.abs(file.predict(image) - expected).max() < tolerance
    assert file.radius == receptive_radius(graph)
    if importlib.util.find_spec("onnxruntime"):
        made = ONNXRuntime(onnx_model(graph)).predict(image)
        assert np.abs(made - expected).max() < tolerance
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 255
    for per_channel in (True, False):
        mode = PostTraining(per_channel=per_channel, output_type="int8")
        quantized = mode.quantize(graph, pixels)
        with torch.no_grad():
            fake = quantized.run(pixels).permute(0, 2, 3, 1).mul(255).numpy()
        step = 255 * quantized.activations[graph.output].scale
        levels = np.abs(LiteRTRuntime(int8_model(quantized)).predict(image) - fake) / step
        assert (levels < 1.01).mean() >= 0.999
