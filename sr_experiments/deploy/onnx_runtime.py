"""Running an ONNX file, ours or a third party's, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_experiments.deploy.litert import COLOURS, PROBE_SIZE, read_file, unusable
from sr_experiments.deploy.units import UNITS, Images, find_units, probe
from sr_experiments.errors import UserError

PRODUCER = "sr_experiments"
RADIUS_KEY = "receptive_radius"


class ONNXRuntime:
    """An ONNX file: NCHW, RGB, float32, fixed in size or dynamic.

    Args:
        file: Path or content of an ``.onnx`` file.
        threads: Of the operators.
        profile: Start of the path that `end_profile` writes to; None: no profile.

    Attributes:
        name: ``onnxruntime``.
        scale: Enlargement, found by running it.
        input_size: Height and width it is fixed to; None where they are dynamic.
        threads: As given.
        content: Of the file.

    Raises:
        UserError: If onnxruntime is not installed, or this is no such file.
    """

    name = "onnxruntime"

    def __init__(
        self, file: Path | str | bytes, threads: int = 2, profile: Path | None = None
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("ONNX needs: pip install 'sr_experiments[onnx]'") from error
        where = "the ONNX file" if isinstance(file, bytes) else str(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        self.content = file if isinstance(file, bytes) else read_file(file)
        try:
            self._session = onnxruntime.InferenceSession(
                self.content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base
            raise unusable(where, "ONNX Runtime", error) from error
        self.threads = threads
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        single = len(inputs) == 1 and len(shape) == 4
        # A dimension that is not fixed is a name or None.
        if not single or shape[1] != COLOURS or (isinstance(shape[0], int) and shape[0] != 1):
            raise UserError(f"{where} reads {shape}; wanted are RGB images, [N, 3, H, W]")
        if inputs[0].type != "tensor(float)":
            raise UserError(f"{where} reads {inputs[0].type}; wanted is tensor(float)")
        height, width = shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        self._input = inputs[0].name
        self.input_size: tuple[int, int] | None = (height, width) if fixed else None
        picture = probe(*(self.input_size or (PROBE_SIZE, PROBE_SIZE)))
        self.scale = self._run(picture).shape[1] // picture.shape[1]
        meta = self._session.get_modelmeta()
        units = (1.0,) if meta.producer_name == PRODUCER else UNITS
        self._whites = find_units(self._run, picture, units, units)

    @cached_property
    def radius(self) -> int | None:
        """Low-resolution pixels it looks to each side; None where that is unknown or everything."""
        known = self._session.get_modelmeta().custom_metadata_map.get(RADIUS_KEY)
        return None if known is None else int(known)

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Enlarge ``(N, H, W, 3)``; ``(N, scale * H, scale * W, 3)`` in 0..255, not rounded."""
        white_in, white_out = self._whites
        pictures = [
            self._run(np.multiply(image[None], np.float32(white_in / 255), dtype=np.float32))
            for image in low_res
        ]
        return np.concatenate(pictures) * np.float32(255 / white_out)

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        """Put one image in place; the result runs the network on it and does nothing else."""
        values = np.multiply(low_res, np.float32(self._whites[0] / 255), dtype=np.float32)
        feed = {self._input: np.ascontiguousarray(values.transpose(0, 3, 1, 2))}
        return lambda: self._session.run(None, feed)

    def end_profile(self) -> Path:
        """Stop the profiler; the JSON file with what every operator took, of every run so far."""
        return Path(self._session.end_profiling())

    def _run(self, values: Images) -> Images:
        nchw = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        made: NDArray[Any] = self._session.run(None, {self._input: nchw})[0]
        return made.transpose(0, 2, 3, 1)
