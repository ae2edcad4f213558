"""Tiles against the whole picture."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.deploy.runtimes import LiteRTRuntime, Runtime, TorchRuntime, to_uint8
from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.deploy.tiling import upscale_tiled
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.quantization import PostTraining, receptive_radius, trace


def assembled(
    runtime: Runtime,
    image: NDArray[np.uint8],
    tile: int | None = None,
    overlap: int | None = None,
) -> NDArray[np.uint8]:
    height, width, _ = image.shape
    picture = np.zeros((height * runtime.scale, width * runtime.scale, 3), np.uint8)
    painted = np.zeros(picture.shape[:2], int)
    for top, left, part in upscale_tiled(runtime, image, tile, overlap):
        rows, columns, _ = part.shape
        picture[top : top + rows, left : left + columns] = part
        painted[top : top + rows, left : left + columns] += 1
    assert (painted == 1).all()
    return picture


@pytest.fixture
def int8(model: SRModel, calibration: Tensor) -> LiteRTRuntime:
    return LiteRTRuntime(int8_model(PostTraining().quantize(trace(model), calibration)))


def test_int8_tiles_equal_the_whole_picture(
    int8: LiteRTRuntime, low_res: NDArray[np.uint8]
) -> None:
    whole = to_uint8(int8.predict(low_res[None]))[0]
    assert int8.radius is not None
    side = max(24, 2 * int8.radius + 7)
    assert np.array_equal(assembled(int8, low_res, side), whole)


def test_torch_tiles_equal_the_whole_picture_within_rounding(
    model: SRModel, low_res: NDArray[np.uint8]
) -> None:
    runtime = TorchRuntime(model)
    whole = to_uint8(runtime.predict(low_res[None]))[0].astype(int)
    difference = np.abs(assembled(runtime, low_res, 40) - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_one_pixel_less_than_the_radius_shows(
    network: Callable[[str], SRModel], low_res: NDArray[np.uint8]
) -> None:
    runtime = TorchRuntime(network("abpn"))
    assert runtime.radius == 5
    whole = runtime.predict(low_res[None])[0]
    left = runtime.predict(low_res[None, :, : 30 + 4])[0]  # sees 4 columns past column 29
    exact = runtime.predict(low_res[None, :, : 30 + 5])[0]
    kept = slice(0, 30 * runtime.scale)
    assert np.abs(exact[:, kept] - whole[:, kept]).max() < 1e-3
    assert np.abs(left[:, kept] - whole[:, kept]).max() > 1e-2


def test_radius_read_from_a_file_is_that_of_the_graph(model: SRModel) -> None:
    graph = trace(model)
    assert LiteRTRuntime(float_model(graph)).radius == receptive_radius(graph)


def test_radius_is_where_the_gradient_ends(model: SRModel, network_name: str) -> None:
    graph = trace(model)
    radius = receptive_radius(graph)
    size = 2 * radius + 5
    random = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size, size, generator=random, requires_grad=True)
    middle = radius + 2
    block = slice(middle * model.scale, (middle + 1) * model.scale)
    model(image)[:, :, block, block].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0).nonzero() - middle
    # The last pixel that VDSR's layers see of a bicubic picture lies where a tap less is needed.
    assert int(seen.abs().max()) == radius - (network_name == "vdsr")


def test_fixed_files_enlarge_pictures_of_any_size(
    xlsr: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    quantized = PostTraining().quantize(trace(xlsr), calibration)
    fixed = LiteRTRuntime(int8_model(quantized, height=32, width=28, resizable=False))
    free = LiteRTRuntime(int8_model(quantized))
    assert np.array_equal(assembled(fixed, low_res), to_uint8(free.predict(low_res[None]))[0])
    # Smaller than the file's size: equal but for what lies within reach of the filling.
    small = low_res[:20, :28]
    made, whole = assembled(fixed, small), to_uint8(free.predict(small[None]))[0]
    assert made.shape == whole.shape
    inner = (20 - 5) * 3
    assert np.array_equal(made[:inner], whole[:inner])


@pytest.mark.parametrize(
    ("size", "tile", "overlap"),
    [((9, 9), 9, 4), ((10, 31), 9, 4), ((23, 8), 5, 2), ((1, 70), 9, 0)],
)
def test_every_pixel_is_made_once_whatever_the_sizes(
    size: tuple[int, int], tile: int, overlap: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    picture = assembled(Doubling(), image, tile, overlap)
    assert np.array_equal(picture, image.repeat(2, 0).repeat(2, 1))


class Doubling:
    """Nearest neighbour that remembers the largest image it was shown."""

    name = "doubling"
    scale = 2
    input_size = None
    threads = 1
    radius: int | None = None
    largest = 0

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.largest = max(self.largest, *low_res.shape[1:3])
        return low_res.repeat(2, 1).repeat(2, 2).astype(np.float32)

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        return lambda: self.predict(low_res)


def test_network_never_sees_more_than_a_tile() -> None:
    runtime = Doubling()
    assembled(runtime, np.zeros((70, 90, 3), np.uint8), 40)
    assert runtime.largest == 40


def test_tiles_that_do_not_fit_are_refused(
    xlsr: SRModel, low_res: NDArray[np.uint8], calibration: Tensor
) -> None:
    with pytest.raises(UserError, match="tile above 32"):
        list(upscale_tiled(Doubling(), low_res, 30, 16))
    with pytest.raises(UserError, match="overlap=-1"):
        list(upscale_tiled(Doubling(), low_res, 30, -1))
    quantized = PostTraining().quantize(trace(xlsr), calibration)
    fixed = LiteRTRuntime(int8_model(quantized, height=32, width=32, resizable=False))
    with pytest.raises(UserError, match="fixed to 32x32"):
        list(upscale_tiled(fixed, low_res, 16))
