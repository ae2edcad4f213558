import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.metrics import ssim_rgb, ssim_y

# Wang's constants, which are not skimage's defaults.
WANG = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
}


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """A photo and the same with noise that grows from left to right."""
    photo = torch.from_numpy(data.astronaut()[100:201, 150:290].copy()).permute(2, 0, 1)
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    noisy = photo + noise * torch.linspace(0, 40, photo.shape[-1])
    return noisy.round().clamp(0, 255).to(torch.uint8), photo


def test_rgb_agrees_with_skimage(pair: tuple[Tensor, Tensor]) -> None:
    inner = [image[:, 2:-2, 2:-2].permute(1, 2, 0).numpy() for image in pair]
    expected = structural_similarity(*inner, channel_axis=2, **WANG)
    assert ssim_rgb(*pair, border=2) == pytest.approx(expected, abs=1e-9)
    assert 0.2 < expected < 0.9  # the pair is neither hopeless nor equal


def test_luma_agrees_with_skimage(pair: tuple[Tensor, Tensor]) -> None:
    inner = [image[:, 3:-3, 3:-3].permute(1, 2, 0).numpy() for image in pair]
    luma = [np.floor(rgb2ycbcr(image)[..., 0].round(6) + 0.5) for image in inner]
    expected = structural_similarity(*luma, **WANG)
    assert ssim_y(*pair, border=3) == pytest.approx(expected, abs=1e-9)


def test_flat_pictures_leave_only_the_luminance_term() -> None:
    dark, bright = torch.full((3, 11, 11), 100.0), torch.full((3, 11, 11), 150.0)
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim_rgb(dark, bright, border=0) == pytest.approx(expected, abs=1e-10)


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(UserError, match="11x11"):
        ssim_y(torch.zeros(3, 16, 40), torch.zeros(3, 16, 40), border=3)
