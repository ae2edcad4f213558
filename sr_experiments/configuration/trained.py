"""Which network: ``run=``, ``file=``, ``pretrained=`` or ``model=``, and what executes it.

A run folder may come from a stranger. So nothing in it is trusted to name code: its weights
go through ``models.load_model``, which builds this package's networks only, and its
configuration is never instantiated.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.options import SourceOptions
from sr_experiments.configuration.shipped import DEFAULT_SCALE, Entry, entries, shipped
from sr_experiments.errors import UserError
from sr_experiments.reporting.environment import usable_cores
from sr_experiments.reporting.run_folder import RunFolder

if TYPE_CHECKING:
    from sr_experiments.deploy.runtimes import Runtime
    from sr_experiments.models import SRModel

RUNTIMES = ("int8", "fp16", "fp32", "torch", "torch_fp16", "onnx")
ASKED_FOR = ("fp16", "torch_fp16")  # half precision is not made unless it is named
SHIPPED = {"int8": "model_int8.tflite", "fp16": "model_fp16.tflite", "fp32": "model_fp32.tflite"}
WEIGHTS = "model.safetensors"
WAYS = ("run", "file", "pretrained", "model")


@dataclass(frozen=True)
class Trained:
    """A network at hand.

    Attributes:
        label: How tables call it.
        files: Runtime to a file that it executes as it is.
        build: Makes the network in torch, in another process too; None where only a file is known.
        threads: Of the runtimes that are opened.
        device: Of torch.
        folder: Its run folder, if any.
        sets: What it was trained on, of a network that the package brings.
    """

    label: str
    files: Mapping[str, Path]
    build: "Callable[[], SRModel] | None"
    threads: int
    device: str = "cpu"
    folder: RunFolder | None = None
    sets: tuple[str, ...] = ()

    def available(self) -> list[str]:
        """Runtimes that `open` can make here, the most deployable first."""
        names = [name for name in self.files if name not in RUNTIMES]
        only_torch = not self.files and self.build is not None and not self.build().deployable
        for name in RUNTIMES:
            made = self.build is not None and name != "int8" and name not in ASKED_FOR
            if name != "torch" and only_torch:
                made = False
            if name == "onnx" and importlib.util.find_spec("onnxruntime") is None:
                made = False
            if name in self.files or made:
                names.append(name)
        return names

    def network(self) -> "SRModel":
        """The network in torch, in evaluation mode.

        Raises:
            UserError: Only a file is known.
        """
        if self.build is None:
            raise UserError(
                f"{self.label} is a finished file: for this, name a run folder (run=...) or a "
                f"{WEIGHTS} (file=...)"
            )
        return self.build()

    def open(self, runtime: str | None = None, channels_last: bool = False) -> "Runtime":
        """What executes the network.

        Args:
            runtime: One of ``available()``; None: the first.
            channels_last: Of torch: keep pixels together in memory, which most CPUs like better.

        Raises:
            UserError: There is no such runtime for it.
        """
        name = runtime or self.available()[0]
        if name in self.files:
            from sr_experiments.deploy.runtimes import open_runtime

            return open_runtime(self.files[name], threads=self.threads)
        return self._made(name, channels_last)

    def libraries(self, runtime: str) -> tuple[str, ...]:
        """Modules that opening a runtime imports: what it needs beside the network."""
        modules = ["sr_experiments.deploy.litert"]
        if runtime == "onnx":
            modules.append("onnxruntime")
        if runtime not in self.files:
            modules += ["sr_experiments.models", "sr_experiments.deploy.tflite"]
        if runtime not in self.files and runtime == "onnx":
            modules += ["onnx.helper", "sr_experiments.deploy.onnx.operators"]
        return tuple(modules)

    def _made(self, name: str, channels_last: bool) -> "Runtime":
        if name == "int8":
            raise UserError(
                f"{self.label} has no INT8 file: write one with python -m sr_experiments.export "
                "... output=..., and name it with file=..."
            )
        network = self.network()
        import torch

        torch.set_num_threads(self.threads)
        from sr_experiments.deploy import runtimes

        if name in ("torch", "torch_fp16"):
            _check_device(self.device)
            half = name == "torch_fp16"
            return runtimes.TorchRuntime(network, self.device, channels_last, half)
        from sr_experiments.models import collapse
        from sr_experiments.quantization.trace import trace

        graph = trace(collapse(network))
        if name in ("fp32", "fp16"):
            from sr_experiments.deploy.tflite import float_model, half_model

            write = float_model if name == "fp32" else half_model
            return runtimes.LiteRTRuntime(write(graph), threads=self.threads)
        from sr_experiments.deploy.onnx import onnx_model

        return runtimes.ONNXRuntime(onnx_model(graph), threads=self.threads)


def find(
    options: SourceOptions,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Trained:
    """The network that a verb's options name; nothing heavy is loaded yet.

    Args:
        options: ``run``, ``file``, ``pretrained`` or ``model``.
        runtime: Checked here, before anything is loaded.
        threads: CPU threads; None: every usable core.
        device: Of torch.

    Raises:
        UserError: None or several are named, or what is named is not there.
    """
    given = [name for name in WAYS if getattr(options, name) is not None]
    if len(given) != 1:
        said = f"not {' and '.join(given)} together" if given else "none is given"
        raise UserError(f"name one network with run=, file=, pretrained= or model=; {said}")
    if runtime is not None and runtime not in RUNTIMES:
        raise UserError(f"runtime={runtime} does not exist: use {', '.join(RUNTIMES)}")
    threads = usable_cores() if threads is None else threads
    if threads < 1:
        raise UserError(f"threads={threads} is below 1")
    if options.run is not None:
        return _of_run(Path(options.run).expanduser(), threads, device)
    if options.file is not None:
        return _of_file(Path(options.file).expanduser(), runtime, threads, device)
    if options.pretrained is not None:
        return _of_package(shipped(options.pretrained, options.scale), threads, device)
    return _of_name(str(options.model), options.scale, threads, device)


def open_checked(options: SourceOptions, trained: Trained, runtime: str | None) -> "Runtime":
    """Open a runtime and compare its scale with the one that was asked for.

    Raises:
        UserError: They differ.
    """
    opened = trained.open(runtime)
    if options.scale is not None and options.scale != opened.scale:
        raise UserError(f"scale={options.scale}: {trained.label} enlarges x{opened.scale}")
    return opened


def _of_run(path: Path, threads: int, device: str) -> Trained:
    if not path.is_dir():
        raise UserError(f"run={path}: there is no such folder")
    folder = RunFolder(path)
    weights = path / WEIGHTS
    if not weights.is_file():
        raise UserError(f"run={path} {_why_not(folder)}")
    files = {name: path / file for name, file in SHIPPED.items() if (path / file).is_file()}
    label = "/".join(path.resolve().parts[-2:])  # outputs/<name>/<time>
    return Trained(label, files, partial(_loaded, weights), threads, device, folder)


def _why_not(folder: RunFolder) -> str:
    status = folder.status()
    if status is not None:
        return f"is {status} and has no {WEIGHTS} yet; the command that started it goes on with it"
    inside = sorted(path.parent for path in folder.path.glob(f"*/{WEIGHTS}"))
    hint = f"; the newest run inside is run={inside[-1]}" if inside else ""
    return f"is no run folder: it has no {WEIGHTS}{hint}"


def _of_file(path: Path, runtime: str | None, threads: int, device: str) -> Trained:
    if not path.is_file():
        raise UserError(f"file={path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return Trained(path.name, {}, partial(_loaded, path), threads, device)
    if suffix not in (".tflite", ".onnx", ".pte"):
        raise UserError(f"file={path}: use a .tflite, .onnx, .pte or .safetensors file")
    if runtime is not None:
        raise UserError(f"runtime={runtime} is not for a {suffix} file, which is run as is")
    return Trained(path.name, {suffix[1:]: path}, None, threads)


def _of_package(entry: Entry, threads: int, device: str) -> Trained:
    build, sets = partial(_loaded, entry.weights), tuple(entry.card["data"])
    return Trained(entry.name, {"int8": entry.int8}, build, threads, device, sets=sets)


def _of_name(name: str, scale: int | None, threads: int, device: str) -> Trained:
    from sr_experiments.configuration.compose import check

    config = check([f"model={name}", f"scale={scale or DEFAULT_SCALE}"])

    return Trained(name, {}, partial(_instantiated, name, config.model), threads, device)


def _instantiated(name: str, config: Any) -> "SRModel":
    from hydra.utils import instantiate

    from sr_experiments.models import SRModel
    from sr_experiments.models.fitted import FittedModel

    network = instantiate(config)  # of this installation's conf/, no stranger's
    assert isinstance(network, SRModel)
    if network.trainable or isinstance(network, FittedModel):
        ours = [entry for entry in entries() if (entry.model, entry.scale) == (name, network.scale)]
        brought = f", use the package's own with pretrained={name}" if ours else ""
        raise UserError(
            f"model={name} is untrained: name a trained one with run=... or file=...{brought}, or "
            f"train it with: python -m sr_experiments model={name}"
        )
    return network.eval()


def _loaded(weights: Path) -> "SRModel":
    from sr_experiments.models import load_model

    return load_model(weights)


def _check_device(device: str) -> None:
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={device}: no CUDA device here; use device=cpu")
    if kind not in ("cpu", "cuda"):
        raise UserError(f"device={device} is not cpu, cuda or cuda:<index>")
