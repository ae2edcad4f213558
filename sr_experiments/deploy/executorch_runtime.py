"""Running an ExecuTorch file on its XNNPACK backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_experiments.deploy.executorch_file import INSTALL
from sr_experiments.deploy.litert import read_file, unusable
from sr_experiments.errors import UserError


class ExecuTorchRuntime:
    """A ``.pte`` file that `executorch_model` wrote: one RGB picture of fixed size, in [0, 1].

    Args:
        file: Path or content of the file.

    Attributes:
        name: ``executorch``.
        scale: Enlargement.
        input_size: Height and width, which ExecuTorch fixes.
        threads: As many as ExecuTorch takes; its Python package does not let one choose.
        radius: None: unknown.

    Raises:
        UserError: ExecuTorch is not installed, or the file is none.
    """

    name = "executorch"
    radius: int | None = None

    def __init__(self, file: Path | str | bytes) -> None:
        try:
            import executorch.kernels.quantized  # noqa: F401  # operators that XNNPACK lacks
            from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count
            from executorch.runtime import Runtime
        except ImportError as error:
            raise UserError(INSTALL) from error
        where = "the ExecuTorch file" if isinstance(file, bytes) else str(file)
        content = file if isinstance(file, bytes) else read_file(file)
        try:
            self._program = Runtime.get().load_program(content)
            self._method: Any = self._program.load_method("forward")
            ends = self._method.metadata.input_tensor_meta(0), self._method.metadata
            source, result = ends[0].sizes(), ends[1].output_tensor_meta(0).sizes()
        except (RuntimeError, AttributeError, IndexError) as error:
            raise unusable(where, "ExecuTorch", error) from error
        self.input_size: tuple[int, int] | None = (source[2], source[3])
        self.scale = int(result[2]) // int(source[2])
        self.threads = int(_threadpool_get_thread_count())

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Enlarge ``(N, H, W, 3)``; ``(N, scale * H, scale * W, 3)`` in 0..255, not rounded."""
        pictures = [self._run(image[None]).permute(0, 2, 3, 1).mul(255) for image in low_res]
        made: NDArray[np.float32] = torch.cat(pictures).numpy()
        return made

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        """Put one image in place; the result runs the network on it and does nothing else."""
        picture = self._picture(low_res)
        return lambda: self._method.execute([picture])

    def _run(self, low_res: NDArray[np.uint8]) -> torch.Tensor:
        made: torch.Tensor = self._method.execute([self._picture(low_res)])[0]
        return made.clone()

    def _picture(self, low_res: NDArray[np.uint8]) -> torch.Tensor:
        if low_res.shape[1:3] != self.input_size:
            raise UserError(f"the file is fixed to {self.input_size}, not {low_res.shape[1:3]}")
        nchw = np.ascontiguousarray(low_res.transpose(0, 3, 1, 2))
        return torch.from_numpy(nchw).float() / 255
