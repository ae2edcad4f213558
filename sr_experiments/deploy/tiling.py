"""Enlarging in tiles: flat memory for large pictures, and files of a fixed size for any picture.

A tile overlaps its neighbours by as much as the network looks to either side, and only what lies
further inside is kept. Tiles at the border of the picture have the picture's own border.

A network that takes means of the whole picture takes them of each tile instead: its tiles differ a
little from the picture in one piece, the less the larger they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sr_experiments.deploy.runtimes import Runtime, to_uint8
from sr_experiments.errors import UserError

DEFAULT_TILE = 256  # low-resolution pixels
# For networks that do not say how far they look, or look everywhere: more than most small ones do.
DEFAULT_OVERLAP = 16


def upscale_tiled(
    runtime: Runtime,
    image: NDArray[np.uint8],
    tile: int | None = None,
    overlap: int | None = None,
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Enlarge a picture piece by piece.

    Args:
        runtime: Any network.
        image: ``(H, W, 3)``.
        tile: Height and width of what the network sees at a time, in low-resolution pixels; a
            runtime of fixed size has its own. None: 256, or more where the overlap asks for it.
        overlap: Low-resolution pixels that are seen but not kept at an inner edge of a tile. At
            least the network's radius makes tiled and whole pictures equal. None: the radius, or
            16 where it is unknown or has no end, and at most a quarter of a fixed size.

    Yields:
        Top and left of a piece in the enlarged picture, and its pixels. The pieces cover the
        picture, each pixel once. Where a fixed size is larger than the picture, the picture is
        mirrored to fill it.

    Raises:
        UserError: If tile or overlap do not fit the runtime or each other.
    """
    reach = DEFAULT_OVERLAP if runtime.radius is None else runtime.radius
    if runtime.input_size is not None:
        if tile is not None and (tile, tile) != runtime.input_size:
            height, width = runtime.input_size
            raise UserError(f"tile={tile}: this file is fixed to {height}x{width}; leave tile out")
        window = runtime.input_size
        reach = min(reach, min(window) // 4)
    else:
        side = max(DEFAULT_TILE, 4 * reach) if tile is None else tile
        window = min(side, image.shape[0]), min(side, image.shape[1])
    overlap = reach if overlap is None else overlap
    if overlap < 0:
        raise UserError(f"overlap={overlap} is below 0")
    for size, seen in zip(image.shape, window, strict=False):
        if size > seen and seen <= 2 * overlap:
            raise UserError(
                f"a tile of {seen} pixels has nothing left inside an overlap of {overlap}; use a "
                f"tile above {2 * overlap}"
            )
    height, width, _ = image.shape
    for top, first_row, last_row in _windows(height, window[0], overlap):
        for left, first_column, last_column in _windows(width, window[1], overlap):
            part = image[top : top + window[0], left : left + window[1]]
            prediction = runtime.predict(_filled(part, window)[None])[0]
            kept = prediction[
                (first_row - top) * runtime.scale : (last_row - top) * runtime.scale,
                (first_column - left) * runtime.scale : (last_column - left) * runtime.scale,
            ]
            yield first_row * runtime.scale, first_column * runtime.scale, to_uint8(kept)


def _windows(size: int, window: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Start of every window along an axis, and first and end of what is kept of it."""
    start = done = 0
    while True:
        start = max(0, min(start, size - window))
        end = size if start + window >= size else start + window - overlap
        yield start, done, end
        if end == size:
            return
        start, done = end - overlap, end


def _filled(part: NDArray[np.uint8], window: tuple[int, int]) -> NDArray[np.uint8]:
    rows, columns = window[0] - part.shape[0], window[1] - part.shape[1]
    if not rows and not columns:
        return part
    return np.pad(part, ((0, rows), (0, columns), (0, 0)), mode="symmetric")
