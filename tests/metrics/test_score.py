from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import upscale
from sr_experiments.metrics import psnr_y, score_bicubic, score_image


def read(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def set5(data_dir: Path) -> list[Path]:
    paths = sorted((data_dir / "test/Set5/HR").glob("*.png"))
    assert len(paths) == 5
    return paths


def mean(scores: list[dict[str, float]], key: str) -> float:
    return sum(score[key] for score in scores) / len(scores)


# The literature, with one more digit from shared/data/README.md.
PUBLISHED = [(2, 33.661, 0.9299), (3, 30.392, 0.8682), (4, 28.421, 0.8104)]


@pytest.mark.parametrize(("scale", "psnr", "ssim"), PUBLISHED)
def test_bicubic_on_set5_has_the_published_numbers(
    data_dir: Path, scale: int, psnr: float, ssim: float
) -> None:
    scores = [score_bicubic(read(path), scale) for path in set5(data_dir)]
    assert mean(scores, "psnr_y") == pytest.approx(psnr, abs=5e-4)
    assert mean(scores, "ssim_y") == pytest.approx(ssim, abs=5e-5)


@pytest.mark.parametrize(("scale", "psnr", "ssim"), PUBLISHED)
def test_bicubic_of_the_8_bit_files_is_a_little_worse_than_published(
    data_dir: Path, scale: int, psnr: float, ssim: float
) -> None:
    scores = []
    for path in set5(data_dir):
        low_res = read(data_dir / f"test/Set5/LR_bicubic/X{scale}" / f"{path.stem}x{scale}.png")
        scores.append(score_image(upscale(low_res, scale), read(path), scale))
    assert psnr - 0.03 < mean(scores, "psnr_y") < psnr
    assert ssim - 0.001 < mean(scores, "ssim_y") < ssim


def test_rgb_scores_of_bicubic_are_those_of_the_8_bit_small_picture(data_dir: Path) -> None:
    path = data_dir / "test/Set5/HR/butterfly.png"
    low_res = read(data_dir / "test/Set5/LR_bicubic/X3/butterflyx3.png")
    expected = score_image(upscale(low_res, 3), read(path), 3)
    scores = score_bicubic(read(path), 3)
    assert scores["psnr_rgb"] == expected["psnr_rgb"]
    assert scores["ssim_rgb"] == expected["ssim_rgb"]


def test_a_target_that_is_no_multiple_of_the_scale_is_cut_to_the_prediction() -> None:
    target = torch.randint(256, (3, 29, 32), generator=torch.Generator().manual_seed(0))
    prediction = target[:, :27, :30] // 2
    scores = score_image(prediction, target, 3)
    assert list(scores) == ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"]
    assert scores["psnr_y"] == psnr_y(prediction, target[:, :27, :30], 3)


def test_a_small_picture_that_was_rounded_up_is_cut_to_the_target() -> None:
    prediction = torch.randint(256, (3, 30, 30), generator=torch.Generator().manual_seed(0))
    scores = score_image(prediction, prediction[:, :28, :29], 3)
    assert scores["ssim_rgb"] == pytest.approx(1)


def test_the_prediction_of_another_picture_is_refused() -> None:
    with pytest.raises(UserError, match="do not belong"):
        score_image(torch.zeros(3, 30, 30), torch.zeros(3, 33, 30), 3)
