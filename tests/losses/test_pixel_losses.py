"""DCT, PSNR and total variation against scipy, skimage and numbers worked by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.fft import dctn
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.losses import DCTL1, L1, PSNR, TotalVariation


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    target = torch.rand(3, 3, 16, 24, generator=random, dtype=torch.float64)
    noise = torch.randn(3, 3, 16, 24, generator=random, dtype=torch.float64)
    strength = torch.tensor([0.01, 0.05, 0.2], dtype=torch.float64).view(3, 1, 1, 1)
    return target + strength * noise, target


def test_dct_l1_compares_scipys_coefficients(pair: tuple[Tensor, Tensor]) -> None:
    spectra = [dctn(image.numpy(), axes=(-2, -1), norm="ortho") for image in pair]
    expected = np.abs(spectra[0] - spectra[1]).mean()
    assert DCTL1(block=None)(*pair).item() == pytest.approx(expected, rel=1e-12)


def test_dct_l1_is_by_default_of_jpegs_blocks(pair: tuple[Tensor, Tensor]) -> None:
    blocks = [F.unfold(image.flatten(0, 1)[:, None], 8, stride=8).mT for image in pair]
    spectra = [
        dctn(block.reshape(-1, 8, 8).numpy(), axes=(-2, -1), norm="ortho") for block in blocks
    ]
    expected = np.abs(spectra[0] - spectra[1]).mean()
    assert DCTL1()(*pair).item() == pytest.approx(expected, rel=1e-12)


def test_dct_l1_forgives_an_even_shade_and_takes_noise_as_l1_does() -> None:
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    shade, nothing = torch.ones_like(noise), torch.zeros_like(noise)
    assert DCTL1()(shade, nothing).item() == pytest.approx(1 / 8)
    assert DCTL1(block=None)(shade, nothing).item() == pytest.approx(1 / 64, rel=1e-4)
    assert DCTL1()(noise, nothing).item() == pytest.approx(L1()(noise, nothing).item(), rel=0.02)


def test_dct_l1_says_how_to_choose_a_patch_of_whole_blocks() -> None:
    image = torch.zeros(1, 3, 30, 30)
    with pytest.raises(UserError, match=r"30x30 .*data\.patch \* scale .*block=null"):
        DCTL1()(image, image)
    with pytest.raises(UserError, match="block=1"):
        DCTL1(block=1)


def test_psnr_loss_is_minus_skimages_psnr_averaged_over_images(
    pair: tuple[Tensor, Tensor],
) -> None:
    scores = [
        peak_signal_noise_ratio(target.numpy(), prediction.numpy(), data_range=1)
        for prediction, target in zip(*pair, strict=True)
    ]
    assert PSNR()(*pair).item() == pytest.approx(-np.mean(scores), abs=1e-3)


def test_psnr_loss_ends_at_80_db_and_still_has_a_gradient() -> None:
    target = torch.rand(2, 3, 8, 8)
    prediction = target.clone().requires_grad_()
    loss = PSNR()(prediction, target)
    assert loss.item() == pytest.approx(-80)
    loss.backward()
    assert prediction.grad is not None
    assert bool(prediction.grad.isfinite().all())


def test_each_image_counts_alike_in_the_psnr_loss(pair: tuple[Tensor, Tensor]) -> None:
    prediction = pair[0].clone().requires_grad_()
    PSNR()(prediction, pair[1]).backward()
    assert prediction.grad is not None
    # d/dp of 10 log10(mean d^2): a step of the same share of each error gains the same decibels
    gain = (prediction.grad * (prediction.detach() - pair[1])).flatten(1).sum(1)
    assert gain.tolist() == pytest.approx([20 / np.log(10) / 3] * 3, rel=1e-3)


def test_total_variation_is_worked_by_hand_and_ignores_the_target() -> None:
    image = torch.tensor([[1.0, 3.0, 3.0], [2.0, 3.0, 0.0]]).expand(2, 3, 2, 3)
    # down: 1, 0, 3; across: 2, 0, 1, 3
    expected = 2 * ((1 + 0 + 9) / 3 + (4 + 0 + 1 + 9) / 4)
    assert TotalVariation()(image, torch.rand_like(image)).item() == pytest.approx(expected)


def test_l1_after_space_to_depth_is_l1() -> None:
    prediction, target = torch.rand(2, 2, 3, 12, 12).unbind()
    rearranged = [F.pixel_unshuffle(image, 3) for image in (prediction, target)]
    assert L1()(*rearranged).item() == pytest.approx(L1()(prediction, target).item(), rel=1e-6)
