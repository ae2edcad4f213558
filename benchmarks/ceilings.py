"""What a step needs, counted, and what the machine can do at most, measured."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

GEMM = 1024  # side of the matrices that the ceiling of arithmetic is measured on
COPY = 64  # MiB, of what is copied for the ceiling of memory


def best_of(action: Callable[[], object], runs: int = 7) -> float:
    """Seconds of the fastest run: a ceiling is what the machine can do undisturbed."""
    action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def gemm(dtype: torch.dtype) -> float:
    """Floating-point operations per second of a matrix product."""
    a, b = (torch.rand(GEMM, GEMM, dtype=dtype) for _ in range(2))
    return 2 * GEMM**3 / best_of(lambda: a @ b)


def copying() -> float:
    """Bytes read and written per second."""
    source = torch.rand(COPY * 2**18)
    target = torch.empty_like(source)
    return 2 * COPY * 2**20 / best_of(lambda: target.copy_(source))


def counted(network: nn.Module, batch_size: int, patch: int) -> tuple[float, float]:
    """Operations and bytes of a step, counted over the layers of the network.

    Operations are twice the multiplications of the convolutions: forward, and two more passes of
    as many for both gradients (one for a layer that reads the picture). Bytes are float32 values
    of every layer's input and output, read or written once in each of the three passes, and Adam's
    seven of each parameter: what no cache could save.
    """
    flop, moved = 0.0, 28.0 * sum(p.numel() for p in network.parameters())

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flop, moved
        passes = 2 if inputs[0].shape[1] == 3 else 3
        moved += 3 * 4 * (inputs[0].numel() + output.numel())
        if isinstance(module, nn.Conv2d):
            flop += passes * 2 * module.weight[0].numel() * output.numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(seen)
    network(torch.rand(batch_size, 3, patch, patch))
    return flop, moved
