"""What this machine has and lacks, section by section; nothing here raises."""

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.errors import UserError
from sr_experiments.reporting import environment
from sr_experiments.reporting.loggers.options import has_key

# Extra of pyproject.toml to the distributions whose absence disables it.
EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "sweep": ("hydra-optuna-sweeper", "hydra-ray-launcher", "hydra-submitit-launcher"),
    "dashboard": ("wandb-workspaces",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "executorch": ("executorch",),
    "video": ("av",),
    "notebook": ("nbclient", "nbformat", "ipykernel"),
    "docs": ("mkdocs-material",),
}
GIB = 1024**3


@dataclass(frozen=True)
class Line:
    """One fact.

    Attributes:
        name: What it is about.
        text: The fact.
        good: False where something is missing or wrong.
    """

    name: str
    text: str
    good: bool = True


Section = Callable[[], Iterator[Line]]


def diagnose(data_dir: Path | None, cache_dir: Path | None) -> dict[str, list[Line]]:
    """Every section's lines; a section that breaks ends in a line that says so.

    Args:
        data_dir: Where the user's data sets are.
        cache_dir: Where packed sets go; None: the user's cache folder.
    """
    sections: dict[str, Section] = {
        "software": software,
        "hardware": hardware,
        "folders": lambda: folders(data_dir, cache_dir),
        "data sets": lambda: data_sets(data_dir, cache_dir),
        "extras": extras,
        "W&B": wandb_key,
    }
    return {title: _guarded(section) for title, section in sections.items()}


def _guarded(section: Section) -> list[Line]:
    lines = []
    try:
        for line in section():
            lines.append(line)
    except Exception as error:  # the doctor is asked when things are broken
        lines.append(Line("problem", f"{type(error).__name__}: {error}", good=False))
    return lines


def software() -> Iterator[Line]:
    """Versions of what results depend on."""
    for name, version in environment.versions().items():
        yield Line(name, version, good=version != "not installed")
    revision = environment.git_revision()
    yield Line("source", revision or "no git revision (installed package)")


def hardware() -> Iterator[Line]:
    """Processor, memory and accelerators."""
    cpu = environment.cpu()
    yield Line("CPU", f"{cpu['model']}, {cpu['cores']} usable cores")
    flags = cpu["int8_instructions"]
    assert isinstance(flags, list)
    yield Line(
        "INT8 instructions",
        ", ".join(flags) or "none: INT8 files run, but hardly faster than FP32",
        good=bool(flags),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Line("memory", f"{memory / GIB:.1f} GiB")
    import torch

    if not torch.cuda.is_available():
        yield Line("accelerator", "none: training runs on the CPU")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16"
        size = properties.total_memory / GIB
        yield Line(f"cuda:{index}", f"{properties.name}, {size:.0f} GiB, {bf16}")


def folders(data_dir: Path | None, cache_dir: Path | None) -> Iterator[Line]:
    """Where data, packed sets and downloaded weights are looked for."""
    from sr_experiments.data import SRData

    if data_dir is None:
        yield Line("data", "no folder: set SR_DATA_DIR or paths.data_dir", good=False)
    else:
        hint = "" if data_dir.is_dir() else " (not there; set SR_DATA_DIR or paths.data_dir)"
        yield Line("data", f"{data_dir}{hint}", good=data_dir.is_dir())
    yield _space("cache", SRData([], [], [], 2, cache_dir=cache_dir).cache_dir)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or home / "torch")
    hub = Path(os.environ.get("HF_HOME") or home / "huggingface")
    yield _weights("torchvision weights", torch_home / "hub" / "checkpoints", "*.pth")
    yield _weights("timm weights", hub / "hub", "models--timm--*")


def _space(name: str, folder: Path) -> Line:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    writable = os.access(existing, os.W_OK)
    problem = "" if writable else "; not writable: set SR_CACHE_DIR or paths.cache_dir"
    return Line(name, f"{folder} ({free:.0f} GiB free{problem})", good=writable)


def _weights(name: str, folder: Path, pattern: str) -> Line:
    count = len(list(folder.glob(pattern))) if folder.is_dir() else 0
    return Line(name, f"{folder} ({count or 'none'} downloaded)")


def data_sets(data_dir: Path | None, cache_dir: Path | None) -> Iterator[Line]:
    """Each part of each named set: where it is, or how to get it."""
    from sr_experiments.data import SOURCES, SRData, find_images

    cache = SRData([], [], [], 2, cache_dir=cache_dir).cache_dir
    for name, source in SOURCES.items():
        if name == "folder":
            continue
        for split in source.splits or ("train",):
            spec = f"{name}:{split}"
            try:
                files = find_images(spec, data_dir, cache)
            except UserError as error:
                text = str(error) if "is not here" not in str(error) else "not here"
                get = source.by_hand or f"python -m sr_experiments.prepare data={name}"
                yield Line(spec, f"{text}; {get}", good=False)
            else:
                yield Line(spec, f"{len(files)} images in {files[0].path.parent}")


def extras() -> Iterator[Line]:
    """Optional dependencies."""
    for extra, names in EXTRAS.items():
        absent = [name for name in names if not _installed(name)]
        command = f'pip install "sr_experiments[{extra}]"'
        text = f"lacks {', '.join(absent)}: {command}" if absent else "installed"
        yield Line(extra, text, good=not absent)


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def wandb_key() -> Iterator[Line]:
    """Whether runs go online."""
    if os.environ.get("WANDB_MODE") == "offline":
        yield Line("W&B", "WANDB_MODE=offline: runs stay here")
    elif has_key():
        yield Line("W&B", "a key is at hand: logger=wandb goes online")
    else:
        yield Line("W&B", "no key: logger=wandb stays offline; log in with: wandb login")
