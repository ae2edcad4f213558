"""imresize against MATLAB's own files and against weights worked by hand."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sr_experiments.functional.resize import downscale, imresize, upscale

SET5 = ("baby", "bird", "butterfly", "head", "woman")
# Keys' cubic at distances 1.75, 0.75, 0.25, 1.25: the phase of every 2x enlargement.
PHASE = [-0.0234375, 0.2265625, 0.8671875, -0.0703125]


def read(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def high_res(data_dir: Path, name: str, scale: int) -> Tensor:
    image = read(data_dir / "test" / "Set5" / "HR" / f"{name}.png")
    _, height, width = image.shape
    return image[:, : height // scale * scale, : width // scale * scale]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", SET5)
def test_set5_is_shrunk_to_matlabs_files_bit_for_bit(data_dir: Path, name: str, scale: int) -> None:
    matlab = read(data_dir / "test" / "Set5" / "LR_bicubic" / f"X{scale}" / f"{name}x{scale}.png")
    assert torch.equal(downscale(high_res(data_dir, name, scale), scale), matlab)


@pytest.mark.parametrize(("scale", "published"), [(2, 33.661), (3, 30.392), (4, 28.421)])
def test_set5_enlarged_again_has_the_literatures_psnr(
    data_dir: Path, scale: int, published: float
) -> None:
    # SRCNN's protocol, which the tables quote: luma is rounded before and after, nothing between.
    scores = []
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64) / 255
    for name in SET5:
        rgb = high_res(data_dir, name, scale).double()
        target = torch.round(16 + torch.einsum("c,chw->hw", weights, rgb))
        bicubic = torch.round(upscale(downscale(target, scale), scale))
        error = (bicubic - target)[scale:-scale, scale:-scale].square().mean()
        scores.append(10 * np.log10(255**2 / error.item()))
    assert np.mean(scores) == pytest.approx(published, abs=0.001)


def test_one_bright_pixel_is_spread_by_the_kernel() -> None:
    line = torch.zeros(1, 1, 9, dtype=torch.float64)
    line[0, 0, 4] = 1
    enlarged = imresize(line, size=(1, 18))[0, 0]
    # Left of the pixel the phases alternate outwards in mirrored order.
    assert enlarged[5:13].tolist() == pytest.approx(
        [PHASE[0], PHASE[3], PHASE[1], PHASE[2], PHASE[2], PHASE[1], PHASE[3], PHASE[0]]
    )
    assert enlarged.sum().item() == pytest.approx(2)


def test_the_border_is_mirrored_with_its_edge_pixel_repeated() -> None:
    line = torch.tensor([[[3.0, 5.0, 11.0, 2.0]]], dtype=torch.float64)
    first = np.dot(PHASE, [5.0, 3.0, 3.0, 5.0])  # reads pixels 2 1 | 1 2
    assert imresize(line, size=(1, 8))[0, 0, 0].item() == pytest.approx(first)


def test_each_pass_rounds_and_clips_before_the_next() -> None:
    # A single row, enlarged in width, then a single column: one pass each by itself.
    image = torch.tensor([[[0, 255, 0, 255]] * 4], dtype=torch.uint8)
    assert int(imresize(image, 2).max()) == 255
    two_steps = imresize(imresize(image, size=(8, 4)), size=(8, 8))
    assert torch.equal(imresize(image, 2), two_steps)
    unrounded = imresize(image.double(), 2)
    assert unrounded.max() > 255  # the cubic overshoots, and float keeps it
    assert unrounded.min() < 0


def test_the_smaller_of_two_scales_goes_first() -> None:
    image = torch.tensor([[[0, 255, 7], [255, 0, 90], [33, 255, 1]]], dtype=torch.uint8)
    width_first = imresize(imresize(image, size=(3, 2)), size=(6, 2))
    assert torch.equal(imresize(image, size=(6, 2)), width_first)


def test_a_new_size_is_rounded_up() -> None:
    assert imresize(torch.zeros(3, 10, 9), Fraction(1, 3)).shape == (3, 4, 3)
    assert imresize(torch.zeros(3, 10, 9), 1.5).shape == (3, 15, 14)


def test_thirds_are_exact() -> None:
    for size in range(3, 600, 3):
        assert downscale(torch.zeros(1, size, 3), 3).shape == (1, size // 3, 1)


def test_floating_point_keeps_its_dtype_batch_and_gradient() -> None:
    image = torch.rand(2, 5, 3, 8, 8, requires_grad=True)
    out = imresize(image, 0.5)
    assert (out.shape, out.dtype) == ((2, 5, 3, 4, 4), torch.float32)
    out.sum().backward()
    assert image.grad is not None
    assert image.grad.sum().item() == pytest.approx(out.numel(), rel=1e-5)


def test_a_flat_image_stays_flat() -> None:
    flat = torch.full((3, 31, 17), 200, dtype=torch.uint8)
    for scale in (2, 3, 4):
        assert downscale(flat, scale).unique().tolist() == [200]
        assert upscale(flat, scale).unique().tolist() == [200]


def test_wrong_arguments_are_refused() -> None:
    image = torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="either a scale or a size"):
        imresize(image)
    with pytest.raises(ValueError, match="either a scale or a size"):
        imresize(image, 2, size=(8, 8))
    with pytest.raises(ValueError, match="positive"):
        imresize(image, 0)
    with pytest.raises(ValueError, match="positive"):
        imresize(image, size=(0, 3))
    with pytest.raises(TypeError, match="int64"):
        imresize(image.long(), 2)
