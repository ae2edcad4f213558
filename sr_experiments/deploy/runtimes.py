"""One small interface to whatever runs a network: LiteRT, ONNX Runtime or PyTorch.

Pictures go in as uint8 and come out as they are before rounding, so that a runtime never hides
what it computed. Importing this imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sr_experiments.deploy.litert import LiteRTRuntime
from sr_experiments.deploy.onnx_runtime import ONNXRuntime
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from sr_experiments.deploy.torch_runtime import TorchRuntime

__all__ = [
    "LiteRTRuntime",
    "ONNXRuntime",
    "Runtime",
    "TorchRuntime",
    "open_runtime",
    "to_uint8",
]


class Runtime(Protocol):
    """Something that enlarges pictures."""

    name: str
    scale: int

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width it is fixed to; None where any will do."""

    @property
    def threads(self) -> int:
        """CPU threads it runs on."""

    @property
    def radius(self) -> int | None:
        """Low-resolution pixels it looks to each side; None where that is unknown or everything."""

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Enlarge ``(N, H, W, 3)``.

        Returns:
            ``(N, scale * H, scale * W, 3)`` in 0..255, neither rounded nor clipped.
        """

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        """Put one image ``(1, H, W, 3)`` in place; the result runs the network and no more."""


def open_runtime(path: Path | str, threads: int = 2, device: str = "cpu") -> Runtime:
    """Open what runs a file.

    Args:
        path: ``.tflite``, ``.onnx``, ``.pte`` of `executorch_model`, or ``.safetensors`` of
            ``models.save_model``.
        threads: Of LiteRT and ONNX Runtime; torch keeps its own number.
        device: Of torch.

    Raises:
        UserError: If nothing here runs such a file, or the file is damaged.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".tflite":
        return LiteRTRuntime(path, threads)
    if suffix == ".onnx":
        return ONNXRuntime(path, threads)
    if suffix == ".pte":
        from sr_experiments.deploy.executorch_runtime import ExecuTorchRuntime

        return ExecuTorchRuntime(path)
    if suffix == ".safetensors":
        from sr_experiments.deploy.torch_runtime import TorchRuntime
        from sr_experiments.models.io import load_model

        return TorchRuntime(load_model(path), device)
    raise UserError(
        f"{path}: nothing runs a {suffix or 'nameless'} file; want .tflite, .onnx, .pte or "
        ".safetensors"
    )


def to_uint8(prediction: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round half up and clip to 0..255.

    Example:
        >>> to_uint8(np.array([-3.0, 0.5, 1.49, 300.0], np.float32)).tolist()
        [0, 1, 1, 255]
    """
    rounded: NDArray[np.float32] = np.floor(prediction + np.float32(0.5))
    return rounded.clip(0, 255).astype(np.uint8)


def __getattr__(name: str) -> Any:
    """Import torch only for who asks for it."""
    if name == "TorchRuntime":
        from sr_experiments.deploy.torch_runtime import TorchRuntime

        return TorchRuntime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
