"""The files that a run ships: safetensors, FP32 and INT8 TFLite, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.files import write_atomic
from sr_experiments.models import SRModel, collapse, count_parameters, save_model
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace

HEIGHT, WIDTH = 360, 640  # low-res size that operations and latency are quoted at


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Attributes:
        network: The deployable twin, in evaluation mode.
        fp32: Path of the FP32 TFLite file.
        int8: Path of the INT8 TFLite file; None where the mode makes none.
        macs: Multiply-accumulates of one 640x360 frame.
        parameters: Of the deployable twin.
    """

    network: SRModel
    fp32: Path
    int8: Path | None
    macs: int
    parameters: int


def ship(
    network: SRModel,
    config: Mapping[str, Any],
    folder: Path,
    mode: PostTraining | None,
    calibration: Tensor,
) -> Shipped:
    """Collapse, trace, and write the safetensors, FP32 and INT8 files of a run.

    Args:
        network: The trained network, on the CPU.
        config: Its ``model`` node, resolved.
        folder: The run folder.
        mode: How to quantise; None writes no INT8 file.
        calibration: (N, 3, h, w) in [0, 1], what ranges are measured on.
    """
    twin = collapse(network)
    save_model(twin, dict(config), folder / "model.safetensors")
    graph = trace(twin)
    fp32 = folder / "model_fp32.tflite"
    write_atomic(fp32, float_model(graph))
    int8 = None
    if mode is not None:
        int8 = folder / "model_int8.tflite"
        write_atomic(int8, int8_model(mode.quantize(graph, calibration)))
    macs = multiply_accumulates(graph, HEIGHT, WIDTH)
    return Shipped(twin, fp32, int8, macs, count_parameters(twin))
