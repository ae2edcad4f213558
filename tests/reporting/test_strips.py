from pathlib import Path

import torch

from sr_experiments.data import find_images, load_image
from sr_experiments.functional.resize import downscale, upscale
from sr_experiments.reporting.strips import (
    CAPTION_HEIGHT,
    GAP,
    busiest_crop,
    comparison_strip,
    error_map,
)


def photo() -> torch.Tensor:
    (coffee,) = find_images("photos:test", None, Path())
    return load_image(coffee.path)[:, :399, :600]


def test_a_strip_has_a_panel_for_every_picture_and_the_error() -> None:
    high_res = photo()
    low_res = downscale(high_res, 3)
    bicubic = upscale(low_res, 3)
    picture = comparison_strip(low_res, high_res, {"bicubic": bicubic}, 3, 120)
    panels = 4  # low-res, bicubic, original, error
    assert picture.size == (panels * 240 + (panels - 1) * GAP, 240 + CAPTION_HEIGHT)


def test_the_error_of_the_original_is_white() -> None:
    image = photo()
    assert int(error_map(image, image).min()) == 255
    assert int(error_map(255 - image, image).min()) == 0


def test_the_busiest_crop_is_where_the_detail_is() -> None:
    image = torch.full((3, 90, 120), 128, dtype=torch.uint8)
    image[:, 30:60, 66:96] = photo()[:, 200:230, 300:330]
    y, x = busiest_crop(image, 30, 3)
    assert abs(y - 30) <= 3
    assert abs(x - 66) <= 3
    assert y % 3 == x % 3 == 0
