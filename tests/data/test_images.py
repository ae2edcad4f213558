"""Every kind of image file that users have, and every broken one."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from sr_experiments.data.images import image_size, load_image
from sr_experiments.errors import UserError


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp", "ppm"])
def test_lossless_formats_give_their_pixels(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    path = tmp_path / f"photo.{suffix}"
    photo.save(path, lossless=True)
    assert torch.equal(load_image(path), pixels(photo))
    assert image_size(path) == (300, 451)


def test_a_wrong_extension_does_not_matter(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "photo.jpg"
    photo.save(path, format="PNG")
    assert torch.equal(load_image(path), pixels(photo))


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, photo: Image.Image, mode: str) -> None:
    path = tmp_path / "grey.png"
    photo.convert("L").convert(mode).save(path)
    grey = torch.from_numpy(np.array(photo.convert("L")))
    assert torch.equal(load_image(path), grey.expand(3, -1, -1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_eight(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    grey = np.asarray(photo.convert("L"))
    noise = np.random.default_rng(0).integers(0, 256, grey.shape).astype(np.uint16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 256 + noise).save(path)
    assert torch.equal(load_image(path), torch.from_numpy(grey.copy()).expand(3, -1, -1))


@pytest.mark.parametrize("mode", ["RGBA", "P", "PA"])
def test_alpha_and_palettes_are_resolved_without_a_warning(
    tmp_path: Path, photo: Image.Image, mode: str
) -> None:
    palette = photo.convert("P")
    path = tmp_path / "photo.png"
    if mode == "RGBA":
        alpha = Image.linear_gradient("L").resize(photo.size)
        Image.merge("RGBA", (*photo.split(), alpha)).save(path)
        expected = photo
    else:
        transparency = bytes(range(256)) if mode == "PA" else None
        palette.save(path, **({"transparency": transparency} if transparency else {}))
        expected = palette.convert("RGB")
    assert torch.equal(load_image(path), pixels(expected))


def test_cmyk_comes_out_in_its_colours(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "print.jpg"
    photo.convert("CMYK").save(path, quality=98)
    difference = (load_image(path).float() - pixels(photo).float()).abs()
    assert difference.mean() < 3  # levels; JPEG loses about 2, inverted ink would be 100


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_picture_and_size(
    tmp_path: Path, photo: Image.Image, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    photo.save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {"lossless": True}))
    with Image.open(path) as opened:
        expected = pixels(ImageOps.exif_transpose(opened).convert("RGB"))
    loaded = load_image(path)
    assert torch.equal(loaded, expected)
    assert image_size(path) == tuple(loaded.shape[1:])
    assert (loaded.shape[1] > loaded.shape[2]) == (orientation >= 5)


def broken_files(photo: Image.Image) -> dict[str, bytes]:
    def encoded(format: str) -> bytes:
        buffer = io.BytesIO()
        photo.save(buffer, format=format)
        return buffer.getvalue()

    png, jpeg, webp, tiff = (encoded(format) for format in ("PNG", "JPEG", "WEBP", "TIFF"))
    middle = len(png) // 2
    return {
        "zero_bytes.png": b"",
        "text.jpg": b"I am no image",
        "header_only.png": png[:40],
        "truncated.png": png[:middle],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.webp": webp[: len(webp) // 2],
        "truncated.tif": tiff[: len(tiff) // 2],
        "flipped_bits.png": png[:middle] + bytes(64) + png[middle + 64 :],
        "zeros.jpg": bytes(5000),
    }


@pytest.mark.parametrize("name", sorted(broken_files(Image.new("RGB", (64, 64)))))
def test_a_broken_file_is_refused_by_name(tmp_path: Path, photo: Image.Image, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(broken_files(photo)[name])
    with pytest.raises(UserError, match=name):
        load_image(path)


def test_an_empty_and_an_absent_file_say_so(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for read in (load_image, image_size):
        with pytest.raises(UserError, match=r"\(it is empty\)"):
            read(tmp_path / "empty.png")
        with pytest.raises(UserError, match="no such file"):
            read(tmp_path / "absent.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (13_500, 13_500)).save(path)  # 182 megapixels in 22 kB
    for read in (load_image, image_size):
        with pytest.raises(UserError, match=r"bomb\.png: refused"):
            read(path)


def test_a_large_photo_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (10_200, 10_000)).save(path)  # a medium-format camera's 102 megapixels
    assert image_size(path) == (10_000, 10_200)


def test_thirty_two_bits_have_no_known_white(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(path)
    with pytest.raises(UserError, match=r"float\.tif: has 32 bits"):
        load_image(path)
