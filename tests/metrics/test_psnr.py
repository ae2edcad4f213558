import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.metrics import psnr_rgb, psnr_y
from sr_experiments.metrics.pixels import pixels_y


def picture(seed: int, height: int = 20, width: int = 31) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)


def test_a_difference_of_one_level_is_twenty_log_255() -> None:
    black = torch.zeros(3, 6, 6)
    assert psnr_rgb(black, black + 1, 0) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_one_wrong_pixel_of_four_is_worked_by_hand() -> None:
    target = torch.zeros(3, 2, 2)
    prediction = target.clone()
    prediction[:, 0, 0] = 10
    # mean squared error 100 / 4 = 25; 255^2 / 25 = 2601; 10 log10(2601) = 34.1514...
    assert psnr_rgb(prediction, target, 0) == pytest.approx(34.151404, abs=1e-6)


def test_equal_pictures_have_an_infinite_psnr() -> None:
    assert psnr_rgb(picture(0), picture(0), 3) == math.inf
    assert psnr_y(picture(0), picture(0), 3) == math.inf


def test_psnr_agrees_with_skimage() -> None:
    ours, theirs = picture(0), picture(1)
    inner = [image[:, 3:-3, 3:-3].permute(1, 2, 0).numpy() for image in (theirs, ours)]
    assert psnr_rgb(ours, theirs, 3) == pytest.approx(peak_signal_noise_ratio(*inner), abs=1e-9)
    luma = [np.floor(rgb2ycbcr(image)[..., 0].round(6) + 0.5) for image in inner]
    expected = peak_signal_noise_ratio(*luma, data_range=255)
    assert psnr_y(ours, theirs, 3) == pytest.approx(expected, abs=1e-9)


def test_only_the_inside_of_the_border_counts() -> None:
    prediction = picture(0)
    target = prediction.clone()
    target[:, :2] = 255 - target[:, :2]
    target[:, :, -2:] = 255 - target[:, :, -2:]
    assert psnr_rgb(prediction, target, 2) == math.inf
    assert psnr_rgb(prediction, target, 1) < 30


def test_a_float_prediction_is_rounded_half_up_and_clipped() -> None:
    target = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).expand(3, 1, 4)
    prediction = torch.tensor([-7.0, 0.5, 2.49, 300.0]).expand(3, 1, 4)
    assert psnr_rgb(prediction, target, 0) == math.inf


def test_black_against_white_is_zero_in_rgb_and_more_in_the_shorter_range_of_luma() -> None:
    black, white = torch.zeros(3, 5, 5), torch.full((3, 5, 5), 255.0)
    assert psnr_rgb(black, white, 0) == 0
    assert psnr_y(black, white, 0) == pytest.approx(20 * math.log10(255 / 219), abs=1e-12)


def test_luma_that_lies_exactly_between_two_levels_is_rounded_up() -> None:
    # (65,481 r + 128,553 g + 24,966 b) / 255,000 + 16, solved for a half in exact integers
    colours = [(0, 204, 68), (1, 173, 225), (2, 44, 141), (4, 194, 109), (5, 65, 25), (6, 34, 182)]
    image = torch.tensor(colours, dtype=torch.uint8).t().unsqueeze(1)
    assert pixels_y(image, 0).flatten().tolist() == [126, 126, 53, 126, 53, 53]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UserError, match="one size"):
        psnr_rgb(picture(0), picture(0, 21), 0)
    with pytest.raises(UserError, match="nothing left"):
        psnr_rgb(picture(0), picture(1), 10)
    with pytest.raises(UserError, match="one picture"):
        psnr_rgb(picture(0)[None], picture(1)[None], 0)
