"""Enlarged pictures are the network's, whole, upright, transparent and in the right colours."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage.data import coffee

from sr_experiments.errors import UserError
from sr_experiments.models import load_model
from sr_experiments.upscale import main

PHOTO = coffee()[100:220, 180:330]
ORIENTATION = 0x0112


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "cup.png"
    path.parent.mkdir()
    Image.fromarray(PHOTO).save(path)
    return path


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def whole(run: Path) -> NDArray[np.uint8]:
    """The photo in one piece by LiteRT itself."""
    interpreter = Interpreter(str(run / "model_int8.tflite"))
    end = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(end, (1, *PHOTO.shape))
    interpreter.allocate_tensors()
    interpreter.set_tensor(end, PHOTO[None])
    interpreter.invoke()
    made: NDArray[np.uint8] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return made[0]


@pytest.mark.parametrize("tile", [32, 47, 256])
def test_int8_tiles_make_the_whole_picture_bit_for_bit(
    tile: int, run: Path, photo: Path, tmp_path: Path, whole: NDArray[np.uint8]
) -> None:
    main([f"run={run}", f"input={photo}", f"output={tmp_path}/big.png", f"tile={tile}"])
    assert np.array_equal(pixels(tmp_path / "big.png"), whole)


@pytest.mark.parametrize("runtime", ["fp32", "torch"])
def test_tiles_in_floating_point_make_the_whole_picture(
    runtime: str, run: Path, photo: Path, tmp_path: Path
) -> None:
    words = [f"run={run}", f"input={photo}", f"runtime={runtime}", "threads=1"]
    main([*words, f"output={tmp_path}/big.png", "tile=40"])
    with torch.no_grad():
        network = load_model(run / "model.safetensors")
        prediction = network(torch.tensor(PHOTO).permute(2, 0, 1)[None] / 255)[0]
    expected = (prediction.permute(1, 2, 0).numpy() * 255 + 0.5).clip(0, 255).astype(np.uint8)
    distance = np.abs(pixels(tmp_path / "big.png").astype(int) - expected)
    # Sums in another order may round the other way at exactly one half.
    assert distance.max() <= 1
    assert (distance != 0).mean() < 1e-3


def test_a_turned_transparent_photo_with_a_profile_keeps_all_of_it(
    run: Path, tmp_path: Path, whole: NDArray[np.uint8]
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(PHOTO)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be shown turned by a quarter
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "in.png", exif=exif, icc_profile=profile)
    main([f"run={run}", f"input={tmp_path}/in.png", f"output={tmp_path}/big.png"])
    with Image.open(tmp_path / "big.png") as big:
        assert big.info["icc_profile"] == profile
        assert big.getexif().get(ORIENTATION, 1) == 1
        made = np.asarray(big)
    assert np.array_equal(made[..., :3], whole)
    small = np.asarray(image.getchannel("A")).astype(int)
    assert np.abs(made[1::3, 1::3, 3].astype(int) - small).max() <= 1  # centres of 3x3 pixels


def test_a_folder_goes_on_past_a_broken_image_and_says_which(
    run: Path, photo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (photo.parent / "a_broken.jpg").write_bytes(b"no image")
    (photo.parent / "deeper").mkdir()
    Image.fromarray(PHOTO).convert("L").save(photo.parent / "deeper" / "grey.tif")
    words = [f"run={run}", f"input={photo.parent}", f"output={tmp_path}/out"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1
    said = capfd.readouterr()
    assert "2 images x3 by litert int8" in said.out
    assert "1 could not be enlarged:" in said.err
    assert "a_broken.jpg: cannot be read as an image" in said.err
    made = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    assert made == [Path("cup.png"), Path("deeper/grey.png")]
    assert pixels(tmp_path / "out" / "deeper" / "grey.png").shape == (360, 450)


def test_pictures_that_are_there_are_kept_unless_told_otherwise(
    run: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cup.png").write_bytes(b"precious")
    words = [f"run={run}", f"input={photo.parent}", f"output={tmp_path}/out"]
    main(words)
    assert "0 images x3 by litert int8, 1 were there already" in capsys.readouterr().out
    assert (tmp_path / "out" / "cup.png").read_bytes() == b"precious"
    single = [f"run={run}", f"input={photo}", f"output={tmp_path}/out/cup.png"]
    with pytest.raises(UserError, match=r"cup\.png is there already; add overwrite=true"):
        main(single)
    main([*single, "overwrite=true"])
    assert pixels(tmp_path / "out" / "cup.png").shape == (360, 450, 3)


def test_two_pictures_of_one_name_do_not_replace_each_other(
    run: Path, photo: Path, tmp_path: Path
) -> None:
    Image.fromarray(PHOTO[:40, :40]).save(photo.with_suffix(".jpg"))
    main([f"run={run}", f"input={photo.parent}", f"output={tmp_path}/out"])
    sizes = {path.name: pixels(path).shape for path in (tmp_path / "out").iterdir()}
    assert sizes == {"cup.png.png": (360, 450, 3), "cup.jpg.png": (120, 120, 3)}


def test_an_output_folder_inside_the_input_is_no_input(
    run: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={run}", f"input={photo.parent}", f"output={photo.parent}/x3"]
    main(words)
    capsys.readouterr()
    main([*words, "overwrite=true"])
    assert "1 image x3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input=nowhere.png", "output=a.png"], r"input=nowhere\.png: there is no such file"),
        (["input={photo}", "output={photo}", "overwrite=true"], "is the input itself"),
        (["input={photo}", "output=a.tga"], r"\.tga cannot be written; use png, jpg"),
        (["input={folder}", "output=a.png"], "must be a folder"),
        (["input={folder}", "output=a", "format=exr"], "format=exr cannot be written"),
        (["input={photo}", "output=a.png", "tile=4"], "use a tile above"),
        (["input=-"], "output has no value: add output="),
        (["input={photo}", "output=a.png", "crf=30"], "crf= is of videos"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    words: list[str],
    message: str,
    run: Path,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with pytest.raises(UserError, match=message):
        main([f"run={run}", *(word.format(photo=photo, folder=photo.parent) for word in words)])
    assert list((tmp_path / "cwd").iterdir()) == []
    assert np.array_equal(pixels(photo), PHOTO)


def test_litert_enlarges_without_importing_torch(run: Path, photo: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from sr_experiments.upscale import main; main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules"
    )
    words = [f"run={run}", f"input={photo}", f"output={tmp_path}/big.png"]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    assert (tmp_path / "big.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_24_megapixels_take_less_than_one_and_a_half_gigabytes(
    mode: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiled = np.tile(coffee(), (10, 10, 1))
    Image.fromarray(tiled).convert(mode).save(tmp_path / "large.png", compress_level=1)
    code = (
        "import resource, sys; from sr_experiments.upscale import main; main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    words = [f"run={run}", f"input={tmp_path}/large.png", f"output={tmp_path}/big.png"]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True
    )
    assert int(result.stdout.splitlines()[-1]) * 1024 < 1.5e9
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Pillow takes it for a bomb
    with Image.open(tmp_path / "big.png") as image:
        assert image.size == (18000, 12000)
