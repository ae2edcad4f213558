"""Peak memory of enlarging one frame, in a process that does nothing else."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.errors import UserError

STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")
KIBIBYTE = 1024  # a MiB has as many KiB, which is what Linux counts in
BYTES = 1024**2  # of a MiB, as macOS counts
FRAMES = 2  # the second finds every buffer of the first in place


def peak_memory(
    open_runtime: Callable[[], Runtime], height: int, width: int, libraries: Sequence[str] = ()
) -> float | None:
    """Memory that a network needs beyond the libraries that run it.

    A process of its own imports the libraries, opens the network and enlarges two frames; what
    its resident memory grew by at most from the import on is the answer, so weights, activations
    and scratch are in it, and the code of torch is not.

    Args:
        open_runtime: Opens the network; sent to the other process, so it has to be picklable.
        height: Of the low-res frame.
        width: Of the frame.
        libraries: Modules to import before counting.

    Returns:
        MiB; None where the system does not tell (Windows).

    Raises:
        UserError: The system ended that process, for want of memory.
    """
    if not STATUS.exists() and importlib.util.find_spec("resource") is None:
        return None
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_grow, open_runtime, height, width, libraries).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"one frame of {width}x{height} was too much: the process that measures memory was "
                "ended; add memory=false or a smaller height= and width="
            ) from error


def available_memory() -> float | None:
    """MiB that new processes may take without swapping; None where the system does not tell."""
    if not MEMINFO.exists():
        return None
    (line,) = (
        line for line in MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:")
    )
    return int(line.split()[1]) / KIBIBYTE


def _grow(
    open_runtime: Callable[[], Runtime], height: int, width: int, libraries: Sequence[str]
) -> float:
    for library in libraries:
        importlib.import_module(library)
    before = _peak()
    runtime = open_runtime()
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    run = runtime.prepare(frame)
    for _ in range(FRAMES):
        run()
    return _peak() - before


def _peak() -> float:
    """Largest resident memory of this process so far, MiB."""
    if STATUS.exists():
        # Linux's getrusage counts what the process was before it became this program, too.
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / KIBIBYTE
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / BYTES
