"""What a run ran on: versions, hardware, source revision."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from sr_experiments import __version__

LIBRARIES = (
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "ai-edge-litert",
    "safetensors",
    "numpy",
    "pillow",
)
INT8_FLAGS = ("avx2", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def versions() -> dict[str, str]:
    """Installed version of each library that a result may depend on."""
    found = {"sr_experiments": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def cpu() -> dict[str, object]:
    """Model name, usable cores, and the integer instructions that INT8 kernels use."""
    text = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text(encoding="utf-8", errors="replace")
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "model": fields.get("model name", platform.processor() or platform.machine()),
        "cores": usable_cores(),
        "int8_instructions": [flag for flag in INT8_FLAGS if flag in flags],
    }


def usable_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def git_revision() -> str | None:
    """Commit of this package's source, with ``+changes`` when files differ.

    Returns:
        None where it is no clone: an installed package may lie in somebody else's.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+changes", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def describe() -> dict[str, object]:
    """Everything ``environment.json`` says of the machine and the software."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "git": git_revision(),
    }


def recorded_threads(file: Path) -> int | None:
    """Threads that a run was started with; None when ``file`` cannot tell."""
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["execution"]["threads"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
