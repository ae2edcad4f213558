"""Milliseconds of each operator of a TFLite or ONNX file.

ONNX Runtime has a profiler. LiteRT's cannot be reached from its Python package, so each operator
is cut out into a file of its own, with the constants that it reads and tensors as large as in the
frame, and all of these files are timed in turn. What XNNPACK fuses across operators, and a cache
that the operator before has warmed, is missing there: the sum need not be the whole, and stands
beside it. A phone's profiler is LiteRT's own (see `deploy.adb`).
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sr_experiments.deploy.cutting import OperatorFile, cut_operators
from sr_experiments.deploy.latency import time_in_turn
from sr_experiments.deploy.runtimes import LiteRTRuntime, ONNXRuntime, Runtime
from sr_experiments.errors import UserError

ALONE = "each operator in a file of its own, in turn"
PROFILER = "ONNX Runtime's profiler"


@dataclass(frozen=True)
class Layer:
    """One operator.

    Attributes:
        number: Its place in the file.
        operator: Its name.
        detail: Kernel, channels and size of its output, as far as they are known.
        milliseconds: Median.
    """

    number: int
    operator: str
    detail: str
    milliseconds: float


@dataclass(frozen=True)
class Layers:
    """All operators of a file, in its order.

    Attributes:
        method: How they were timed.
        rows: The operators.
    """

    method: str
    rows: list[Layer]

    @property
    def total(self) -> float:
        """Sum of the milliseconds."""
        return sum(row.milliseconds for row in self.rows)


def has_layers(runtime: Runtime) -> bool:
    """Whether `time_layers` can say something."""
    return isinstance(runtime, LiteRTRuntime | ONNXRuntime)


def time_layers(runtime: Runtime, height: int, width: int, runs: int, warmup: int) -> Layers | None:
    """Time each operator of a file.

    Args:
        runtime: What the file was opened by; its threads are used.
        height: Of the low-res frame.
        width: Of the frame.
        runs: Runs that count.
        warmup: Runs before them.

    Returns:
        None where there is no file, as in torch.

    Raises:
        UserError: LiteRT does not run one of the operators by itself.
    """
    if isinstance(runtime, LiteRTRuntime):
        files = list(cut_operators(runtime.content, height, width))
        rows = time_in_turn([_opened(file, runtime.threads) for file in files], runs, warmup)
        return Layers(
            ALONE,
            [
                Layer(file.number, file.operator, file.detail, median(row))
                for file, row in zip(files, rows, strict=True)
            ],
        )
    if isinstance(runtime, ONNXRuntime):
        return Layers(PROFILER, _profiled(runtime, height, width, runs, warmup))
    return None


def _opened(file: OperatorFile, threads: int) -> Any:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    random = np.random.default_rng(0)
    try:
        interpreter = Interpreter(model_content=file.content, num_threads=threads)
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            values = random.uniform(0, 127, tuple(details["shape"])).astype(details["dtype"])
            interpreter.set_tensor(details["index"], values)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"layers=true: LiteRT does not run operator {file.number}, {file.operator}, by itself: "
            f"{error}"
        ) from error
    return interpreter.invoke


def _profiled(runtime: ONNXRuntime, height: int, width: int, runs: int, warmup: int) -> list[Layer]:
    with tempfile.TemporaryDirectory() as folder:
        twin = ONNXRuntime(runtime.content, runtime.threads, profile=Path(folder) / "profile")
        run = twin.prepare(_frame(height, width))
        for _ in range(warmup + runs):
            run()
        events = json.loads(twin.end_profile().read_text(encoding="utf-8"))
    times: dict[int, list[float]] = defaultdict(list)
    names: dict[int, tuple[str, str]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        number = int(arguments["node_index"])
        times[number].append(event["dur"] / 1000)
        shapes = [next(iter(shape.values())) for shape in arguments.get("output_type_shape", [])]
        names[number] = arguments["op_name"], " ".join("x".join(map(str, s)) for s in shapes)
    # In the order in which they ran, which is not that of their numbers.
    return [Layer(number, *names[number], median(row[-runs:])) for number, row in times.items()]


def _frame(height: int, width: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
