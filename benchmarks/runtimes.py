"""Latency of one network in every runtime: INT8 and FP32 files, ONNX Runtime, eager PyTorch.

    python benchmarks/runtimes.py [--model XLSR] [--size 640x360] [--runs 20] [--threads N]
                                  [--json result.json]

The runtimes take turns, one frame each, so a busy machine slows all alike; compare medians of one
table only. The network is untrained: its time does not depend on its weights.
"""

import argparse
import copy
import json
from dataclasses import asdict
from pathlib import Path

import torch

from sr_experiments import models
from sr_experiments.deploy.latency import compare_latency
from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, Runtime, TorchRuntime
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.errors import UserError
from sr_experiments.quantization import PostTraining, trace
from sr_experiments.reporting.environment import describe, usable_cores

NETWORKS = [
    name for name in models.__all__ if name[0].isupper() and name not in ("SRModel", "Bicubic")
]


def runtimes(model: models.SRModel, threads: int) -> list[Runtime]:
    """Everything that can run the network here, the INT8 file first."""
    graph = trace(model)
    calibration = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    files = [
        int8_model(PostTraining().quantize(graph, calibration)),
        int8_model(PostTraining(per_channel=False).quantize(graph, calibration)),
        float_model(graph),
    ]
    found: list[Runtime] = [LiteRTRuntime(file, threads) for file in files]
    found[1].name += " per-tensor"
    try:
        found.append(ONNXRuntime(onnx_model(graph), threads))
    except UserError as error:
        print(f"left out: {error}")
    found.append(TorchRuntime(copy.deepcopy(model), channels_last=True))
    found.append(TorchRuntime(model))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=NETWORKS, default="XLSR")
    parser.add_argument("--size", default="640x360", help="width x height of the low-res frame")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    model = getattr(models, options.model)().eval()
    found = runtimes(model, options.threads)
    latencies = compare_latency(found, height, width, options.runs)
    fastest = latencies[0].median
    environment = describe()
    print(f"{options.model} x{model.scale}, {options.size}, {options.threads} threads")
    print(f"{environment['cpu']}")
    print(f"{'runtime':28}{'median ms':>10}{'IQR ms':>9}{'of INT8':>9}")
    for latency in latencies:
        ratio = f"{latency.median / fastest:.1f}x"
        print(f"{latency.runtime:28}{latency.median:10.1f}{latency.spread:9.1f}{ratio:>9}")
    if options.json:
        result = {
            "model": options.model,
            "scale": model.scale,
            "method": "median of interleaved runs of the network alone, after 3 that do not count",
            "environment": environment,
            "latency_ms": [asdict(latency) for latency in latencies],
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
