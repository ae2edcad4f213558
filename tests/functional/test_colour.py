"""rgb_to_y against scikit-image and the corners of BT.601."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.data import astronaut

from sr_experiments.functional.colour import rgb_to_y


def test_luma_of_a_photo_is_scikit_images() -> None:
    photo = astronaut()
    luma = rgb_to_y(torch.from_numpy(photo).permute(2, 0, 1))
    assert luma.dtype == torch.float64
    np.testing.assert_allclose(luma[0].numpy(), rgb2ycbcr(photo)[..., 0], atol=1e-9)


@pytest.mark.parametrize(
    ("rgb", "luma"),
    [
        ((0, 0, 0), 16.0),
        ((255, 255, 255), 235.0),
        ((255, 0, 0), 81.481),
        ((0, 255, 0), 144.553),
        ((0, 0, 255), 40.966),
    ],
)
def test_corners_of_the_cube_have_the_standards_luma(
    rgb: tuple[int, int, int], luma: float
) -> None:
    image = torch.tensor(rgb, dtype=torch.float64).reshape(1, 3, 1, 1)
    assert rgb_to_y(image).shape == (1, 1, 1, 1)
    assert rgb_to_y(image).item() == pytest.approx(luma, abs=1e-9)


def test_batches_keep_their_shape_and_precision() -> None:
    batch = torch.zeros(4, 2, 3, 5, 6)
    luma = rgb_to_y(batch)
    assert (luma.shape, luma.dtype) == ((4, 2, 1, 5, 6), torch.float32)


def test_an_image_without_three_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 5, 5\)"):
        rgb_to_y(torch.zeros(1, 5, 5))
