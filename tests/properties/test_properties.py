"""Whatever the size, the scale or the value: a right answer, or one sentence that says what to do.

A few dozen examples each, the same ones every time.
"""

import string
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sr_experiments.configuration.compose import check
from sr_experiments.data.finding import ImageFile
from sr_experiments.data.sampler import PatchSampler
from sr_experiments.data.store import PackedImages, pack
from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.pictures import Canvas, read_picture
from sr_experiments.deploy.runtimes import (
    LiteRTRuntime,
    ONNXRuntime,
    Runtime,
    TorchRuntime,
    to_uint8,
)
from sr_experiments.deploy.tflite import float_model, half_model, int8_model
from sr_experiments.deploy.tiling import upscale_tiled
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, collapse
from sr_experiments.quantization import Int16Activations, PostTraining, trace

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SIDES = st.one_of(st.integers(1, 9), st.integers(1, 70), st.sampled_from([1, 2, 127]))
STRIPS = st.sampled_from([(1, 701), (701, 1), (3, 500), (500, 3)])
SIZES = st.one_of(st.tuples(SIDES, SIDES), STRIPS)


def picture(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


class Nearest:
    """Enlarges without a network."""

    name = "nearest"
    input_size: tuple[int, int] | None = None
    threads = 1

    def __init__(self, scale: int, radius: int | None = 0) -> None:
        self.scale, self.radius = scale, radius

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        return low_res.repeat(self.scale, 1).repeat(self.scale, 2).astype(np.float32)

    def prepare(self, low_res: NDArray[np.uint8]) -> object:
        return lambda: self.predict(low_res)


@FEW
@given(SIZES, st.integers(2, 4), st.integers(1, 40), st.integers(0, 12), st.booleans())
def test_the_tiler_makes_every_pixel_once(
    size: tuple[int, int], scale: int, tile: int, overlap: int, fixed: bool
) -> None:
    runtime = Nearest(scale)
    if fixed:
        runtime.input_size = (tile, tile)
    image = picture(size)
    made = np.zeros((size[0] * scale, size[1] * scale, 3), np.uint8)
    times = np.zeros(made.shape[:2], np.int64)
    pieces = upscale_tiled(runtime, image, None if fixed else tile, overlap)  # type: ignore[arg-type]
    windows = [tile if fixed else min(tile, side) for side in size]
    if any(side > seen <= 2 * overlap for side, seen in zip(size, windows, strict=True)):
        with pytest.raises(UserError, match="nothing left inside an overlap"):
            next(pieces)
        return
    for y, x, part in pieces:
        made[y : y + part.shape[0], x : x + part.shape[1]] = part
        times[y : y + part.shape[0], x : x + part.shape[1]] += 1
    assert (times == 1).all()
    assert np.array_equal(made, image.repeat(scale, 0).repeat(scale, 1))


@pytest.fixture(scope="module")
def runtimes() -> dict[int, dict[str, Runtime]]:
    """A network of each scale, as each writer wrote it, open for any size."""
    torch.manual_seed(3)
    crops = torch.rand(2, 3, 24, 24)
    opened: dict[int, dict[str, Runtime]] = {}
    for scale in (2, 3, 4):
        network = collapse(ABPN(scale, channels=8, num_blocks=2))
        graph = trace(network)
        opened[scale] = {
            "torch": TorchRuntime(network, "cpu"),
            "onnx": ONNXRuntime(onnx_model(graph), threads=1),
            "fp32": LiteRTRuntime(float_model(graph), threads=1),
            "fp16": LiteRTRuntime(half_model(graph), threads=1),
        }
        for name, mode in {
            "int8": PostTraining(),
            "int8 per tensor": PostTraining(per_channel=False),
            "int16": Int16Activations(),
        }.items():
            written = int8_model(mode.quantize(graph, crops))
            opened[scale][name] = LiteRTRuntime(written, threads=1)
    return opened


# Levels of 255 that a file's picture may be away from torch's.
AWAY = {"fp32": 1, "onnx": 1, "fp16": 2, "int8": 16, "int8 per tensor": 16, "int16": 2}
SLOW_KERNELS = 3000  # low-res pixels: on a CPU, LiteRT has plain loops for int16


@settings(FEW, max_examples=18)
@given(SIZES, st.sampled_from([2, 3, 4]), st.integers(0, 99))
def test_every_writers_file_takes_every_size(
    runtimes: dict[int, dict[str, Runtime]], size: tuple[int, int], scale: int, seed: int
) -> None:
    low_res = picture(size, seed)[None]
    made = {
        name: to_uint8(runtime.predict(low_res))
        for name, runtime in runtimes[scale].items()
        if name != "int16" or size[0] * size[1] <= SLOW_KERNELS
    }
    for name, image in made.items():
        assert image.shape == (1, scale * size[0], scale * size[1], 3)
        away = np.abs(image.astype(int) - made["torch"].astype(int))
        assert away.max() <= AWAY.get(name, 0), (name, scale)


@FEW
@given(SIZES, st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]))
def test_pictures_of_every_kind_and_size_are_read_and_written(
    tmp_path: Path, size: tuple[int, int], mode: str
) -> None:
    source = Image.fromarray(picture(size))
    if mode == "I;16":
        source = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
    else:
        source = source.convert(mode)
    path = tmp_path / f"in.{'jpg' if mode == 'CMYK' else 'png'}"
    source.save(path)
    read = read_picture(path)
    assert read.rgb.shape == (*size, 3)
    canvas = Canvas(read, 2, tmp_path / "out.png")
    canvas.paste(0, 0, read.rgb.repeat(2, 0).repeat(2, 1))
    canvas.save()
    with Image.open(tmp_path / "out.png") as out:
        assert out.size == (2 * size[1], 2 * size[0])
        assert (out.mode in ("L", "LA")) == (mode in ("1", "L", "LA", "I;16"))


@FEW
@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(2, 4))
def test_packing_keeps_whole_multiples_or_names_what_is_too_small(
    tmp_path: Path, sizes: list[tuple[int, int]], scale: int
) -> None:
    files = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture(size, number)).save(path)
        files.append(ImageFile(path.stem, path))
    small = [number for number, size in enumerate(sizes) if min(size) < scale]
    packed = tmp_path / "packed.safetensors"
    if small:
        with pytest.raises(UserError, match=rf"{small[0]}\.png is smaller than scale={scale}"):
            pack(files, scale, packed)
        return
    pack(files, scale, packed)
    images = PackedImages(packed)
    for number, (height, width) in enumerate(sizes):
        low = height // scale, width // scale
        assert images.low_res(number).shape == (3, *low)
        expected = picture((height, width), number)[: low[0] * scale, : low[1] * scale]
        assert np.array_equal(images.high_res(number).permute(1, 2, 0).numpy(), expected)


@FEW
@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(2, 4), st.integers(1, 40), st.data())
def test_a_crop_is_a_place_of_a_photo_or_the_patch_is_refused(
    tmp_path: Path, sizes: list[tuple[int, int]], scale: int, patch: int, data: st.DataObject
) -> None:
    assume(all(min(size) >= scale for size in sizes))
    files = []
    for number, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width]
        path = tmp_path / f"{number}.png"
        # A pixel says which it is: its row, its column and its picture.
        rest = rows // 256 + 4 * (columns // 256) + 16 * number
        place = np.stack([rows % 256, columns % 256, rest], axis=-1)
        Image.fromarray(place.astype(np.uint8)).save(path)
        files.append(ImageFile(path.stem, path))
    pack(files, scale, tmp_path / "packed.safetensors")
    store = PackedImages(tmp_path / "packed.safetensors")
    small = data.draw(st.sampled_from(["refuse", "mirror"]))
    if small == "refuse" and patch > min(min(size) // scale for size in sizes):
        with pytest.raises(UserError, match=rf"data\.patch={patch} is larger than the image"):
            PatchSampler(store, 4, patch, seed=0)
        return
    seed = data.draw(st.integers(-(2**70), 2**70))
    sampler = PatchSampler(store, 4, patch, seed, dihedral=False, intensity=(1.0,), small=small)
    low_res, high_res = sampler(data.draw(st.integers(0, 2**60)))
    assert low_res.shape == (4, 3, patch, patch)
    for crop in high_res.mul(255).round().long():
        row, column, rest = crop
        rows, columns = row + 256 * (rest % 4), column + 256 * (rest % 16 // 4)
        number = rest // 16
        assert (number == number.flatten()[0]).all()
        sides = [side // scale * scale for side in sizes[int(number.flatten()[0])]]
        for line, side, whole in ((rows[:, 0], sides[0], rows), (columns[0], sides[1], columns.T)):
            assert torch.equal(whole, line[:, None].expand_as(whole))
            assert line.tolist() in places_of(side, patch * scale, scale)


def places_of(side: int, crop: int, scale: int) -> list[list[int]]:
    """The pixels of one side of an image, or around all of them, that a crop may have."""
    room = side - crop
    if room >= 0:
        return [list(range(first, first + crop)) for first in range(0, room + 1, scale)]
    seen = np.pad(np.arange(side), -room, "symmetric")
    return [seen[first : first + crop].tolist() for first in range(0, -room + 1, scale)]


KEYS = ["scale", "seed", "run_name", "budget", "resume", "model", "model.clip_output", "loss.eps",
        "optimizer.lr", "optimizer.betas", "data.train", "data.patch", "trainer.epochs",
        "paths.cache_dir", "stages", "callbacks", "nonsense", "data.nonsense"]  # fmt: skip
VALUES = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        ["null", "true", "[]", "{}", "[1,2]", "{a: 1}", "${oc.env:HOME}", "${nowhere}", "${scale}",
         "${", "'", '"', "a=b", "???", "${oc.env:NO_SUCH_VARIABLE}", "${oc.decode:1}", "xlsr"]
    ),
    st.text(string.printable + "äß漢\u202e", max_size=8),
)  # fmt: skip


@settings(FEW, max_examples=25)
@given(st.sampled_from(KEYS), VALUES)
def test_any_value_of_any_key_composes_or_is_refused_in_words(key: str, value: str) -> None:
    assume("\x00" not in value)
    said = None
    try:
        said = "model" in check([f"{key}={value}"])
    except UserError as error:
        said = len(str(error)) > 10
    assert said
