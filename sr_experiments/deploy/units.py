"""Whether a network's numbers mean [0, 1] or 0..255, which no file format says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

UNITS = (1.0, 255.0)
# A quantised tensor spans about its unit; a linear output may overshoot it a few times.
SPAN_OF_255 = 16.0

Images = NDArray[np.float32]


def unit_of_scale(scale: float) -> float:
    """Value of white in a tensor of 256 levels, from the step between them."""
    return 255.0 if 255 * scale > SPAN_OF_255 else 1.0


def probe(height: int, width: int) -> Images:
    """A smooth picture in [0, 1] with three different colours, ``(1, height, width, 3)``."""
    rows = np.linspace(0.2, 0.8, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-0.1, 0.1, width, dtype=np.float32)[None, :, None]
    tint = np.array([-0.1, 0.0, 0.1], np.float32)
    return (rows + columns + tint)[None]


def find_units(
    run: Callable[[Images], Images],
    picture: Images,
    inputs: Sequence[float] = UNITS,
    outputs: Sequence[float] = UNITS,
) -> tuple[float, float]:
    """Try which units make the network enlarge a picture rather than spoil it.

    Args:
        run: The network on ``(1, H, W, 3)`` in its own units.
        picture: The probe.
        inputs: Possible values of white in the input.
        outputs: And in the output.

    Returns:
        Value of white in the input and in the output.
    """
    errors: list[tuple[float, float, float]] = []
    for white_in in inputs:
        made = run(picture * np.float32(white_in))
        factor = made.shape[1] // picture.shape[1]
        wanted = picture.repeat(factor, 1).repeat(factor, 2)
        for white_out in outputs:
            error = float(np.abs(made / np.float32(white_out) - wanted).mean())
            errors.append((error, white_in, white_out))
    return min(errors)[1:]
