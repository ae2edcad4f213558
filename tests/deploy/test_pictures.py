"""Alpha, orientation and colour profile survive enlarging."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.data import coffee

from sr_experiments.deploy.pictures import Canvas, read_picture
from sr_experiments.errors import UserError

ORIENTATION, MAKE, EXIF_IFD, WIDTH_TAG, LENS = 0x0112, 0x010F, 0x8769, 0xA002, 0xA434


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(coffee()[100:160, 200:290])


def doubled(path: Path, output: Path) -> Image.Image:
    """Enlarge by repeating pixels, through everything but a network."""
    picture = read_picture(path)
    canvas = Canvas(picture, 2, output)
    canvas.paste(0, 0, picture.rgb.repeat(2, axis=0).repeat(2, axis=1))
    canvas.save()
    with Image.open(output) as image:
        image.load()
    return image


@cache  # a new one would hold the time of its making
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_comes_out_upright(
    tmp_path: Path, photo: Image.Image, orientation: int
) -> None:
    # What a camera stores for each orientation so that the viewer sees `photo`.
    stored = {
        1: photo,
        2: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: photo.transpose(Image.Transpose.ROTATE_180),
        4: photo.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: photo.transpose(Image.Transpose.TRANSPOSE),
        6: photo.transpose(Image.Transpose.ROTATE_90),
        7: photo.transpose(Image.Transpose.TRANSVERSE),
        8: photo.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(tmp_path / "in.png", exif=exif)
    image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    assert image.getexif().get(ORIENTATION, 1) == 1
    assert np.array_equal(np.asarray(image)[::2, ::2], np.asarray(photo))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_colour_profile_and_camera_survive_but_the_old_size_does_not(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    exif = Image.Exif()
    exif[MAKE] = "Acme"
    exif.get_ifd(EXIF_IFD).update({WIDTH_TAG: 90, LENS: "50 mm"})
    photo.save(tmp_path / "in.jpg", exif=exif, icc_profile=srgb_profile())
    image = doubled(tmp_path / "in.jpg", tmp_path / f"out{suffix}")
    assert image.info["icc_profile"] == srgb_profile()
    assert image.getexif()[MAKE] == "Acme"
    assert image.getexif().get_ifd(EXIF_IFD) == {LENS: "50 mm"}
    assert image.size == (180, 120)


def test_transparency_is_enlarged_smoothly_and_never_leaves_its_range(
    tmp_path: Path, photo: Image.Image
) -> None:
    alpha = np.zeros((60, 90), np.uint8)
    alpha[:, 45:] = 255
    with_alpha = photo.copy()
    with_alpha.putalpha(Image.fromarray(alpha))
    with_alpha.save(tmp_path / "in.png")
    image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    assert image.mode == "RGBA"
    row = np.asarray(image.getchannel("A"))[60].astype(int)
    assert (row[:86] == 0).all()
    assert (row[94:] == 255).all()
    assert (np.diff(row) >= 0).all()
    # Keys' kernel (a = -0.5) a quarter pixel beside the edge, worked by hand: 0.203125 * 255.
    assert row[89] == 52
    assert np.array_equal(np.asarray(image)[::2, ::2, :3], np.asarray(photo))


def test_a_transparent_palette_becomes_colours_with_alpha(
    tmp_path: Path, photo: Image.Image
) -> None:
    palette = photo.quantize(16)
    palette.save(tmp_path / "in.png", transparency=3)
    image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    assert image.mode == "RGBA"
    transparent = np.asarray(palette) == 3
    assert np.array_equal(np.asarray(image.getchannel("A"))[::2, ::2] < 128, transparent)


def test_grey_stays_grey_with_its_profile(tmp_path: Path, photo: Image.Image) -> None:
    header = bytearray(srgb_profile())
    header[16:20] = b"GRAY"
    photo.convert("L").save(tmp_path / "in.png", icc_profile=bytes(header))
    image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    assert image.mode == "L"
    assert image.info["icc_profile"][16:20] == b"GRAY"


def test_sixteen_bit_grey_keeps_its_upper_byte(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    Image.fromarray(values).save(tmp_path / "in.png")
    image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    assert np.array_equal(np.asarray(image)[::2, ::2], (values // 256).astype(np.uint8))


def test_cmyk_becomes_rgb_without_its_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 10), (255, 0, 0, 0)).save(tmp_path / "in.jpg", icc_profile=b"x" * 200)
    image = doubled(tmp_path / "in.jpg", tmp_path / "out.png")
    assert image.mode == "RGB"
    assert "icc_profile" not in image.info
    red, green, blue = np.asarray(image).reshape(-1, 3).mean(0)
    assert red < 10 < 240 < min(green, blue)


def test_a_moving_picture_is_refused_by_name(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "film.gif", save_all=True, append_images=[photo.rotate(90)])
    with pytest.raises(UserError, match=r"film\.gif: has 2 frames"):
        read_picture(tmp_path / "film.gif")


@pytest.mark.parametrize("broken", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(broken)
    with pytest.raises(UserError, match=r"bad\.png"):
        read_picture(tmp_path / "bad.png")


def test_a_truncated_photo_is_refused_by_name(tmp_path: Path, photo: Image.Image) -> None:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    (tmp_path / "half.png").write_bytes(buffer.getvalue()[:2000])
    with pytest.raises(UserError, match=r"half\.png"):
        read_picture(tmp_path / "half.png")


def test_a_format_that_cannot_hold_the_picture_is_refused_before_work(
    tmp_path: Path, photo: Image.Image
) -> None:
    photo.convert("RGBA").save(tmp_path / "in.png")
    picture = read_picture(tmp_path / "in.png")
    with pytest.raises(UserError, match="JPEG cannot hold"):
        Canvas(picture, 2, tmp_path / "out.jpg")
    with pytest.raises(UserError, match=r"\.webp"):
        Canvas(picture, 2, tmp_path / "out.xyz")
    with pytest.raises(UserError, match="16383 a side"):
        Canvas(picture, 200, tmp_path / "out.webp")


def test_nothing_is_left_behind_when_writing_fails(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo.save(tmp_path / "in.png")
    picture = read_picture(tmp_path / "in.png")
    canvas = Canvas(picture, 2, tmp_path / "out" / "a.png")

    def full(self: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="no space left"):
        canvas.save()
    assert list((tmp_path / "out").iterdir()) == []
