"""A network as files for other runtimes, and proof that they compute the same."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.data import SRData
from sr_experiments.deploy.parity import Parity, compare
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, Runtime, to_uint8
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float
from sr_experiments.functional.pixels import to_uint8 as to_picture
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel, collapse
from sr_experiments.quantization.description import described
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace

FP32, INT8 = "model_fp32.tflite", "model_int8.tflite"
ONNX, ONNX_INT8 = "model.onnx", "model_int8.onnx"
# What the app AI Benchmark loads from a phone's folder Download (Mobile AI 2022 report, 2.2).
AI_BENCHMARK = "model.tflite"
PTE, PTE_INT8 = "model.pte", "model_int8.pte"
Target = Literal["all", "ai_benchmark", "executorch"]
TARGETS: tuple[Target, ...] = ("all", "ai_benchmark", "executorch")


@dataclass(frozen=True)
class Export:
    """A network's files, not written yet.

    Attributes:
        network: The deployable twin.
        graph: What every file was written from.
        quantized: The same with a scale for every tensor.
        files: Name to content; ONNX only where its libraries are installed.
    """

    network: SRModel
    graph: Graph
    quantized: QuantizedGraph
    files: dict[str, bytes]


@dataclass(frozen=True)
class Check:
    """One file against what it must equal.

    Attributes:
        file: Name.
        against: What it was compared with in torch: the FP32 network, or its fake-quantised twin.
        parity: Of the 8-bit pictures.
        psnr: Of the file's picture, dB over RGB.
        psnr_difference: The same less that of the other.
    """

    file: str
    against: str
    parity: Parity
    psnr: float
    psnr_difference: float


def export_names(target: Target = "all") -> list[str]:
    """Files for a target; for all that are usual, what this installation can write and check."""
    if target != "all":
        return [AI_BENCHMARK] if target == "ai_benchmark" else [PTE, PTE_INT8]
    onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    return [FP32, INT8, *([ONNX, ONNX_INT8] if onnx else [])]


def export(
    network: SRModel,
    mode: PostTraining,
    calibration: Tensor | None,
    *,
    height: int,
    width: int,
    resizable: bool,
    target: Target = "all",
) -> Export:
    """Collapse, trace, quantise and write.

    Args:
        network: On the CPU.
        mode: How to quantise.
        calibration: (N, 3, h, w) in [0, 1], what ranges are measured on; None keeps those that
            the network was trained with.
        height: Of the TFLite files' input.
        width: Of the TFLite files' input.
        resizable: Let users of the TFLite files change height and width.
        target: What for; ``ai_benchmark`` is the INT8 file that this app loads, ``executorch`` FP32
            and INT8 files of that runtime.

    Raises:
        UserError: The network has an operator that the targets cannot run.
    """
    twin = collapse(network)
    graph = trace(twin)
    quantized = quantized_twin(twin, mode, calibration, graph)
    if target == "executorch":
        from sr_experiments.deploy.executorch_file import executorch_model

        networks: dict[str, Graph | QuantizedGraph] = {PTE: graph, PTE_INT8: quantized}
        made = {name: executorch_model(item, height, width) for name, item in networks.items()}
        return Export(twin, graph, quantized, made)
    int8 = int8_model(quantized, height=height, width=width, resizable=resizable)
    if target == "ai_benchmark":
        return Export(twin, graph, quantized, {AI_BENCHMARK: int8})
    fp32 = float_model(graph, height=height, width=width, resizable=resizable)
    files = {FP32: fp32, INT8: int8}
    if ONNX in export_names():
        from sr_experiments.deploy.onnx import onnx_model

        files[ONNX] = onnx_model(graph)
        files[ONNX_INT8] = onnx_model(quantized)
    return Export(twin, graph, quantized, files)


def quantized_twin(
    twin: SRModel, mode: PostTraining, calibration: Tensor | None, graph: Graph | None = None
) -> QuantizedGraph:
    """A network on its grid.

    Args:
        twin: In its deployable form, on the CPU.
        mode: How to quantise.
        calibration: (N, 3, h, w) in [0, 1], what ranges are measured on; None keeps those that
            the network was trained with.
        graph: Of the twin, if it is traced already.

    Raises:
        UserError: There are no ranges to keep.
    """
    graph = graph or trace(twin)
    if calibration is not None:
        return mode.quantize(graph, calibration)
    if twin.ranges is None:
        raise UserError("this network was trained without ranges: name images that measure them")
    return described(graph, twin.ranges, mode.input_type, mode.output_type)


def check(exported: Export, low_res: Tensor, high_res: Tensor) -> Iterator[Check]:
    """Compare every file with torch, on one photo.

    Args:
        exported: What `export` made.
        low_res: (3, h, w) uint8; of the files' own size where that is fixed.
        high_res: (3, scale * h, scale * w) uint8.
    """
    with torch.no_grad():
        batch = to_float(low_res)[None]
        plain = to_picture(exported.network(batch))[0]
        fake = to_picture(exported.quantized.run(batch))[0]
    scale = exported.network.scale
    for name, content in exported.files.items():
        int8 = name in (INT8, ONNX_INT8, AI_BENCHMARK, PTE_INT8)
        made = _picture(_opened(name, content), low_res)
        other = fake if int8 else plain
        psnr = psnr_rgb(made, high_res, scale)
        yield Check(
            name,
            "INT8" if int8 else "FP32",
            compare(_array(made), _array(other)),
            psnr,
            psnr - psnr_rgb(other, high_res, scale),
        )


def _opened(name: str, content: bytes) -> Runtime:
    if name in (PTE, PTE_INT8):
        from sr_experiments.deploy.executorch_runtime import ExecuTorchRuntime

        return ExecuTorchRuntime(content)
    return ONNXRuntime(content) if name in (ONNX, ONNX_INT8) else LiteRTRuntime(content)


def _picture(runtime: Runtime, low_res: Tensor) -> Tensor:
    image = _array(low_res)
    return torch.from_numpy(to_uint8(runtime.predict(image[None])[0])).permute(2, 0, 1)


def _array(image: Tensor) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = image.permute(1, 2, 0).contiguous().numpy()
    return array


def photo(scale: int, size: tuple[int, int] | None, cache_dir: str | None) -> tuple[Tensor, Tensor]:
    """The photo that every installation has, as low-res and high-res (3, H, W) uint8.

    Args:
        scale: Enlargement.
        size: Low-res height and width wanted: the photo is cut, or continued by its mirror.
        cache_dir: Packed sets; None: the user's cache folder.
    """
    pairs = SRData([], [], ["photos:test"], scale, cache_dir=cache_dir).test_sets()["photos"]
    _, low_res, high_res = pairs[0]
    if size is None:
        return low_res, high_res
    height, width = size
    return _fit(low_res, height, width), _fit(high_res, height * scale, width * scale)


def _fit(image: Tensor, height: int, width: int) -> Tensor:
    array = image.numpy()[:, :height, :width]
    missing = ((0, 0), (0, height - array.shape[1]), (0, width - array.shape[2]))
    return torch.from_numpy(np.ascontiguousarray(np.pad(array, missing, mode="symmetric")))
