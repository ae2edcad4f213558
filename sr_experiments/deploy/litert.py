"""Running any TFLite file, ours or a third party's, on LiteRT's own kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from sr_experiments.deploy.flatbuffer import DESCRIPTION, FILE_IDENTIFIER
from sr_experiments.deploy.reach import file_radius
from sr_experiments.deploy.units import UNITS, Images, find_units, probe, unit_of_scale
from sr_experiments.errors import UserError

PROBE_SIZE = 32  # pixels; what a resizable file is asked about its scale and units with
COLOURS = 3
# A scale times its unit within this of 1 stands for whole pixel values.
EXACT = 1e-6


@dataclass(frozen=True)
class _End:
    """Input or output of a file: how pixels in 0..255 and its numbers translate."""

    index: int
    dtype: np.dtype[Any]
    scale: float
    zero_point: int
    white: float = 1.0

    @property
    def quantized(self) -> bool:
        """Whether it holds integers."""
        return self.dtype != np.float32

    def encode(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixel values to what the file reads."""
        if not self.quantized:
            return pixels.astype(np.float32) * np.float32(self.white / 255)
        step = self.pixel_step()
        if step == 1.0 and self.zero_point == 0 and self.dtype == pixels.dtype:
            return pixels
        return self.levels(pixels.astype(np.float32) / np.float32(step))

    def decode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the file writes to pixel values."""
        pixels = values.astype(np.float32)
        if self.quantized:
            pixels -= np.float32(self.zero_point)
        pixels *= np.float32(self.pixel_step())
        return pixels

    def levels(self, multiples: NDArray[np.float32]) -> NDArray[Any]:
        """Multiples of the scale to integers: rounded half up, and clipped."""
        limits = np.iinfo(self.dtype)
        rounded = np.floor(multiples + np.float32(0.5)) + np.float32(self.zero_point)
        levels: NDArray[Any] = rounded.clip(limits.min, limits.max).astype(self.dtype)
        return levels

    def pixel_step(self) -> float:
        """Pixel values from one of its numbers to the next."""
        step = self.scale * 255 / self.white
        return 1.0 if abs(step - 1) < EXACT else step


class LiteRTRuntime:
    """A TFLite file: NHWC, RGB, uint8, int8 or float32, fixed in size or resizable.

    Whether its numbers mean [0, 1] or 0..255 is read from the quantisation, or, in floating
    point, found by enlarging a probe picture both ways.

    Args:
        file: Path or content of a ``.tflite`` file.
        threads: Of XNNPACK, which runs whatever it can.

    Attributes:
        name: ``litert`` and the type that its convolutions compute in.
        scale: Enlargement, found by running it.
        input_size: Height and width it is fixed to; None where it is resizable.
        threads: As given.
        content: Of the file.

    Raises:
        UserError: If this is no such file; the message says what is wrong with it.
    """

    def __init__(self, file: Path | str | bytes, threads: int = 2) -> None:
        where = "the TFLite file" if isinstance(file, bytes) else str(file)
        self.content = file if isinstance(file, bytes) else read_file(file)
        if self.content[4:8] != FILE_IDENTIFIER:
            raise unusable(where, "LiteRT", "it is no TFLite file")
        try:
            self._interpreter = Interpreter(model_content=self.content, num_threads=threads)
            inputs, outputs = (
                self._interpreter.get_input_details(),
                self._interpreter.get_output_details(),
            )
        except (RuntimeError, ValueError) as error:
            raise unusable(where, "LiteRT", error) from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{where} has {len(inputs)} inputs and {len(outputs)} outputs; want 1")
        self.threads = threads
        shape = inputs[0]["shape_signature"].tolist()
        if len(shape) != 4 or shape[3] != COLOURS or shape[0] not in (1, -1):
            raise UserError(f"{where} reads {shape}; wanted are single RGB images, [1, H, W, 3]")
        self.input_size = None if -1 in shape[1:3] else (int(shape[1]), int(shape[2]))
        self._input, self._output = (_end(details[0], where) for details in (inputs, outputs))
        self._size: tuple[int, int] | None = None
        size = self.input_size or (PROBE_SIZE, PROBE_SIZE)
        try:
            self.scale = self._scale(size, where)
        except RuntimeError as error:
            raise unusable(where, "LiteRT", error) from error
        self._find_units(size)
        kinds = {
            str(np.dtype(details["dtype"])) for details in self._interpreter.get_tensor_details()
        }
        self.name = f"litert {'int8' if kinds & {'int8', 'uint8'} else 'fp32'}"

    @cached_property
    def radius(self) -> int | None:
        """Low-resolution pixels it looks to each side; None where that is unknown or everything."""
        return file_radius(self.content)

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Enlarge ``(N, H, W, 3)``; ``(N, scale * H, scale * W, 3)`` in 0..255, not rounded."""
        pictures = []
        for image in low_res:
            self.prepare(image[None])()
            pictures.append(self._output.decode(self._interpreter.get_tensor(self._output.index)))
        return np.concatenate(pictures)

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        """Put one image in place; the result runs the network on it and does nothing else."""
        self._feed(self._input.encode(low_res))
        run: Callable[[], object] = self._interpreter.invoke
        return run

    def _feed(self, values: NDArray[Any]) -> None:
        height, width = values.shape[1:3]
        if self._size != (height, width):
            if self.input_size not in (None, (height, width)):
                raise UserError(
                    f"the file is fixed to {self.input_size[0]}x{self.input_size[1]}, "
                    f"not {height}x{width}; tile the image"
                )
            self._interpreter.resize_tensor_input(self._input.index, (1, height, width, COLOURS))
            self._interpreter.allocate_tensors()
            self._size = height, width
        self._interpreter.set_tensor(self._input.index, values)

    def _run(self, values: Images) -> Images:
        """The network in its own units, quantised ends translated to real numbers."""
        scale = np.float32(self._input.scale)
        self._feed(self._input.levels(values / scale) if self._input.quantized else values)
        self._interpreter.invoke()
        output = self._output
        made: NDArray[np.float32] = self._interpreter.get_tensor(output.index).astype(np.float32)
        return (made - np.float32(output.zero_point)) * np.float32(output.scale)

    def _scale(self, size: tuple[int, int], where: str) -> int:
        shape = self._run(probe(*size)).shape
        scale = shape[1] // size[0] if len(shape) == 4 else 0
        if scale < 1 or shape != (1, size[0] * scale, size[1] * scale, COLOURS):
            raise UserError(
                f"{where} makes {list(shape)} of [1, {size[0]}, {size[1]}, 3]; wanted is an image "
                "enlarged by a whole number"
            )
        return scale

    def _find_units(self, size: tuple[int, int]) -> None:
        ends = self._input, self._output
        known = [(unit_of_scale(end.scale),) if end.quantized else UNITS for end in ends]
        if schema.Model.GetRootAs(self.content).Description() == DESCRIPTION.encode():
            known = [(1.0,), (1.0,)]
        whites = find_units(self._run, probe(*size), *known)
        self._input, self._output = (
            _End(end.index, end.dtype, end.scale, end.zero_point, white)
            for end, white in zip(ends, whites, strict=True)
        )


def _end(details: dict[str, Any], where: str) -> _End:
    dtype = np.dtype(details["dtype"])
    if dtype not in (np.uint8, np.int8, np.float32):
        raise UserError(f"{where} has ends of type {dtype}; wanted are uint8, int8 or float32")
    scale, zero_point = details["quantization"]
    return _End(int(details["index"]), dtype, float(scale) or 1.0, int(zero_point))


def unusable(where: str, runtime: str, reason: object) -> UserError:
    """What to say of a damaged file of a network, or of one with operators the runtime lacks."""
    return UserError(
        f"{where} cannot be run by {runtime}: {str(reason).rstrip('. ')}; copy it again, or write "
        "it again from its run: python -m sr_experiments.export run=<folder>"
    )


def read_file(path: Path | str) -> bytes:
    """Content of a file.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
