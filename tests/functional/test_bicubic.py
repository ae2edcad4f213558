"""Bicubic as one convolution, against imresize (itself checked against MATLAB's files) and PIL."""

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.functional.bicubic import bicubic_upscale, bicubic_upscale_kernel
from sr_experiments.functional.resize import imresize


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(2, 3), (5, 9), (13, 8)])
def test_convolution_equals_imresize_borders_included(size: tuple[int, int], scale: int) -> None:
    image = torch.rand(1, 3, *size, dtype=torch.float64)
    enlarged = bicubic_upscale(image, scale)
    torch.testing.assert_close(enlarged, imresize(image, scale), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_convolution_equals_pil_away_from_the_border(scale: int) -> None:
    image = np.random.default_rng(0).random((12, 10), dtype=np.float32)
    expected = Image.fromarray(image).resize((10 * scale, 12 * scale), Image.Resampling.BICUBIC)
    enlarged = bicubic_upscale(torch.from_numpy(image)[None, None], scale)[0, 0].numpy()
    inner = slice(3 * scale, -3 * scale)
    assert np.abs(enlarged - np.asarray(expected))[inner, inner].max() < 1e-6


def test_weights_of_scale_two_are_those_of_the_textbook() -> None:
    # Keys, a = -0.5, at the distances 1.75, 0.75, 0.25, 1.25 of phase 0 (x = Y - 0.25).
    row = torch.tensor([-3, 29, 111, -9, 0]) / 128
    expected = torch.stack([torch.outer(row, row), torch.outer(row, row.flip(0))])
    assert torch.equal(bicubic_upscale_kernel(2)[:2], expected)


def test_flat_picture_stays_flat() -> None:
    flat = torch.full((1, 1, 4, 4), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        bicubic_upscale(flat, 3), torch.full((1, 1, 12, 12), 0.3, dtype=torch.float64)
    )
