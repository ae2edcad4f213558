"""The file of a network as it is now, and what LiteRT makes of the validation images with it."""

from statistics import fmean

import torch

from sr_experiments.data import SRData
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.tflite import half_model, int8_model
from sr_experiments.metrics import psnr_rgb
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import HalfPrecision, PostTraining


def make_file(
    mode: PostTraining | HalfPrecision,
    graph: Graph,
    data: SRData,
    device: str | torch.device = "cpu",
) -> bytes:
    """The INT8 or FP16 file of a traced network.

    Args:
        mode: How it is quantised.
        graph: With live weights.
        data: Where calibration images come from.
        device: Of the weights.
    """
    if isinstance(mode, HalfPrecision):
        return half_model(graph)
    return int8_model(mode.quantize(graph, mode.images(data).to(device)))


def measure(file: bytes, data: SRData, threads: int) -> float:
    """Mean RGB PSNR, in dB, of a TFLite file on the validation images."""
    runtime = LiteRTRuntime(file, threads=threads)
    return fmean(
        psnr_rgb(predict_image(runtime, low_res), high_res, data.scale)
        for _, low_res, high_res in data.val_pairs()
    )
