"""The files that a run ships: safetensors, FP32, INT8 or FP16 TFLite, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.tflite import float_model, half_model, int8_model
from sr_experiments.files import write_atomic
from sr_experiments.models import SRModel, collapse, count_parameters, save_model
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.trace import trace

HEIGHT, WIDTH = 360, 640  # low-res size that operations and latency are quoted at


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Attributes:
        network: The FP32 network in its deployable form, in evaluation mode: the trained one, or
            what quantisation-aware training is compared with.
        reference: What the FP32 network is, where it is not the trained one.
        fp32: Path of the FP32 TFLite file; None where the targets cannot run the network.
        int8: Path of the INT8 TFLite file; None where the mode makes none.
        fp16: Path of the FP16 TFLite file; None where the mode makes none.
        macs: Multiply-accumulates of one 640x360 frame; None where no graph tells.
        parameters: Of the deployable twin.
    """

    network: SRModel
    reference: str | None
    fp32: Path | None
    int8: Path | None
    fp16: Path | None
    macs: int | None
    parameters: int


def ship(
    network: SRModel,
    config: Mapping[str, Any],
    folder: Path,
    quantized: QuantizedGraph | None = None,
    half: bool = False,
    reference: tuple[SRModel, str] | None = None,
) -> Shipped:
    """Collapse, trace, and write the safetensors and TFLite files of a run.

    The safetensors holds the trained weights. After quantisation-aware training those are no FP32
    network, so the FP32 file is that of the network it is compared with.

    Args:
        network: The trained network, on the CPU.
        config: Its ``model`` node, resolved.
        folder: The run folder.
        quantized: The network with its ranges; None writes no INT8 file.
        half: Write a file with float16 weights.
        reference: Another FP32 network, on the CPU, and what it is in words.
    """
    twin = collapse(network)
    save_model(twin, dict(config), folder / "model.safetensors")
    if not twin.deployable:
        return Shipped(twin, None, None, None, None, None, count_parameters(twin))
    graph = trace(twin)
    exact, words = (twin, None) if reference is None else (collapse(reference[0]), reference[1])
    fp32 = folder / "model_fp32.tflite"
    write_atomic(fp32, float_model(graph if reference is None else trace(exact)))
    int8, fp16 = None, None
    if half:
        fp16 = folder / "model_fp16.tflite"
        write_atomic(fp16, half_model(graph))
    if quantized is not None:
        int8 = folder / "model_int8.tflite"
        write_atomic(int8, int8_model(quantized))
    macs = multiply_accumulates(graph, HEIGHT, WIDTH)
    return Shipped(exact, words, fp32, int8, fp16, macs, count_parameters(twin))
