"""Pictures as they come out of a broken disk, a hasty script or an attacker's hand.

Every verb that reads pictures names the one that it cannot read and what to do, and never ends in
a traceback.
"""

import csv
import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import coffee

from sr_experiments import classify, evaluate, prepare, upscale
from sr_experiments.__main__ import main as train
from sr_experiments.configuration.entry import run_verb
from sr_experiments.errors import UserError
from sr_experiments.models import GlassesCNN, save_model

PHOTO = Image.fromarray(coffee()[100:148, 200:263])  # 63x48


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises a picture, and a few bytes of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def odd_pictures() -> dict[str, bytes]:
    """Unusual, and pictures all the same."""
    palette = PHOTO.quantize(16)
    sixteen = Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257)
    return {
        "png_called.jpg": encoded(PHOTO, "PNG"),
        "one_bit.png": encoded(PHOTO.convert("1"), "PNG"),
        "sixteen_bit.png": encoded(sixteen, "PNG"),
        "cmyk.jpg": encoded(PHOTO.convert("CMYK"), "JPEG"),
        "palette.png": encoded(palette, "PNG", transparency=3),
        "alpha.webp": encoded(PHOTO.convert("RGBA"), "WEBP"),
        "grey.bmp": encoded(PHOTO.convert("L"), "BMP"),
        "one_pixel.png": encoded(PHOTO.crop((0, 0, 1, 1)), "PNG"),
        "a_line.png": encoded(PHOTO.crop((0, 0, 63, 1)), "PNG"),
        "exif_of_noise.jpg": encoded(PHOTO, "JPEG", exif=b"Exif\x00\x00" + bytes(range(200))),
    }


def moving_pictures() -> dict[str, bytes]:
    frames = [PHOTO.rotate(angle) for angle in (90, 180)]
    return {
        f"moving.{form.lower()}": encoded(PHOTO, form, save_all=True, append_images=frames)
        for form in ("GIF", "WEBP", "PNG", "TIFF")
    }


def broken_pictures() -> dict[str, bytes]:
    """Nothing can be made of them."""
    png, jpeg = encoded(PHOTO, "PNG"), encoded(PHOTO, "JPEG")
    return {
        "zero_bytes.png": b"",
        "text.jpg": b"<html>404: no such picture</html>",
        "half.png": png[: len(png) // 2],
        "half.jpg": jpeg[: len(jpeg) // 2],
        "half.webp": (webp := encoded(PHOTO, "WEBP"))[: len(webp) // 2],
        "bomb.png": png_of_size(30_000, 30_000),
        "huge_header.png": png_of_size(2**31 - 1, 2**31 - 1),
        "no_size.png": png_of_size(0, 0),
        "zeros.bmp": bytes(4000),
        "magic_only.gif": b"GIF89a",
        "magic_only.tif": b"II*\x00\xff\xff\xff\xff",
    }


UNREADABLE = r"cannot be read as an image \(.+\); save it anew, or remove it"
TOO_LARGE = r"refused, too large to be a photo; cut it into parts"
MOVING = r"has 3 frames; enlarge a single one, or make it a video \(\.mp4\)"


def remedy(name: str) -> str:
    """What a user is told of a picture: why it is refused, and what to do."""
    if name in ("bomb.png", "huge_header.png"):
        return TOO_LARGE
    return MOVING if name.startswith("moving") else UNREADABLE


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {"_target_": "sr_experiments.models.GlassesCNN", "size": 8, "num_blocks": 1}
    path = tmp_path_factory.mktemp("classifier") / "model.safetensors"
    save_model(GlassesCNN(size=8, num_blocks=1), config, path)
    return path


def test_odd_pictures_are_enlarged_and_the_others_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, broken = odd_pictures(), {**broken_pictures(), **moving_pictures()}
    folder = written(tmp_path / "in", {**odd, **broken})
    words = [f"run={run}", f"input={folder}", f"output={tmp_path}/out", "threads=1"]
    with pytest.raises(SystemExit) as stop:
        upscale.main(words)
    assert stop.value.code == 1
    told = capsys.readouterr().err
    for name in broken:
        assert told.count(f"{folder}/{name}: ") == 1
        assert re.search(rf"{re.escape(str(folder))}/{re.escape(name)}: {remedy(name)}", told)
    made = {path.stem: path for path in (tmp_path / "out").rglob("*.png")}
    assert sorted(made) == sorted(Path(name).stem for name in odd)
    for name in odd:
        with Image.open(folder / name) as given, Image.open(made[Path(name).stem]) as large:
            assert large.size == (3 * given.width, 3 * given.height)


@pytest.mark.parametrize("name", sorted(broken_pictures()))
def test_packing_names_the_picture_that_is_broken(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {f"good_{number}.png": encoded(PHOTO.resize((150, 150)), "PNG") for number in range(2)}
    folder = written(tmp_path / "in", {**good, name: broken_pictures()[name]})
    places = [f"root={folder}", f"cache_dir={tmp_path}/cache"]
    with pytest.raises(UserError, match=f"{re.escape(name)}: {remedy(name)}"):
        prepare.main(["data=folder", *places])
    with pytest.raises(UserError, match=f"{re.escape(name)}: {remedy(name)}"):
        evaluate.main(["model=bicubic", "data=folder", *places])


def test_training_on_a_broken_picture_ends_with_2_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {f"good_{number}.png": encoded(PHOTO.resize((150, 150)), "PNG") for number in range(2)}
    folder = written(tmp_path / "in", {**files, "half.jpg": broken_pictures()["half.jpg"]})
    places = [f"paths.{name}_dir={tmp_path}/{name}" for name in ("cache", "output")]
    with pytest.raises(SystemExit) as stop:
        train(["data=folder", f"data.root={folder}", "data.patch=8", "data.test=[]", *places])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert re.search(rf"half\.jpg: {UNREADABLE}", told)
    assert not (tmp_path / "output").exists()


def test_a_classifier_has_a_line_for_every_picture(classifier: Path, tmp_path: Path) -> None:
    broken = broken_pictures()
    readable = {**odd_pictures(), **moving_pictures()}  # of several frames the first is looked at
    folder = written(tmp_path / "in", {**readable, **broken})
    output = tmp_path / "said.csv"
    with pytest.raises(SystemExit) as stop:
        classify.main([f"file={classifier}", f"input={folder}", f"output={output}", "threads=1"])
    assert stop.value.code == 1
    with output.open(encoding="utf-8", newline="") as lines:
        said = {row["file"]: row for row in csv.DictReader(lines)}
    assert {name for name, row in said.items() if row["said"] == "unreadable"} == set(broken)
    assert set(said) == {*broken, *readable}
    for name in broken:
        assert re.search(f"{re.escape(name)}: {remedy(name)}", said[name]["error"])


@pytest.mark.parametrize("name", ["zero_bytes.png", "bomb.png", "moving.gif"])
def test_one_broken_picture_ends_with_2_and_its_name(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "in", {**broken_pictures(), **moving_pictures()})
    verb: Callable[[], None] = lambda: upscale.main(  # noqa: E731
        [f"run={run}", f"input={folder}/{name}", f"output={tmp_path}/big.png", "threads=1"]
    )
    with pytest.raises(SystemExit) as stop:
        run_verb(verb)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {folder}/{name}: ")
    assert re.search(remedy(name), told)
    assert not (tmp_path / "big.png").exists()
