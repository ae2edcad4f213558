"""A+ against a plain NumPy reading of its paper, and on a photo that it has not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import convolve2d
from skimage import data
from skimage.color import rgb2ycbcr
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.functional.resize import downscale, upscale
from sr_experiments.metrics import score_bicubic, score_image
from sr_experiments.models import APlus, load_model, save_model
from sr_experiments.models.aplus import learn_anchors

Array = NDArray[np.float64]
OPTIONS = {"atoms": 32, "neighbours": 512, "patches": 15_000, "dictionary_patches": 1_000}


def photo(name: str, top: int, left: int, size: int = 192) -> Tensor:
    crop = getattr(data, name)()[top : top + size, left : left + size]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def photos() -> list[Tensor]:
    return [photo("astronaut", 0, 130), photo("astronaut", 250, 250), photo("rocket", 120, 230)]


@pytest.fixture(scope="module")
def fitted(photos: list[Tensor]) -> APlus:
    model = APlus(**OPTIONS)
    model.fit(photos, seed=3, say=lambda line: None)
    return model.eval()


def random_model(scale: int) -> APlus:
    """Every value random, so that no mistake hides behind a zero."""
    model = APlus(scale, atoms=5, features=7)
    generator = torch.Generator().manual_seed(scale)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model.anchors /= model.anchors.norm(dim=1, keepdim=True)
    return model.double()


def matlab_same(image: Array, kernel: Array) -> Array:
    """MATLAB's ``conv2(image, kernel, 'same')``: a kernel of even size is off the centre."""
    rows, columns = (size // 2 for size in kernel.shape)
    full = convolve2d(image, kernel)
    return full[rows : rows + image.shape[0], columns : columns + image.shape[1]]


def by_the_paper(model: APlus, low_res: Tensor) -> tuple[Array, Array]:
    """Luma, 0..1, of patches with a border of one low-res pixel left out, and where it is known.

    Loops over patches, ``convolve2d`` with the filters that the paper names, and its averaging.
    """
    scale, window = model.scale, 3 * model.scale
    gap = [0.0] * (scale - 1)
    gradient = np.array([[1.0, *gap, -1.0]])
    laplacian = np.array([[1.0, *gap, -2.0, *gap, 1.0]]) / 2
    rgb = upscale(low_res, scale)[0].permute(1, 2, 0).numpy()
    luma = rgb2ycbcr(rgb)[..., 0] / 255
    maps = [matlab_same(luma, kernel) for kernel in (gradient, gradient.T, laplacian, laplacian.T)]
    projection = model.projection.flatten(1).numpy()
    anchors, matrices = model.anchors.numpy(), model.matrices.numpy()
    total, count = np.zeros_like(luma), np.zeros_like(luma)
    for top in range(scale, luma.shape[0] - window - scale + 1, scale):
        for left in range(scale, luma.shape[1] - window - scale + 1, scale):
            place = np.s_[top : top + window, left : left + window]
            features = projection @ np.concatenate([values[place].ravel() for values in maps])
            best = np.abs(anchors @ features).argmax()
            total[place] += luma[place] + (matrices[best] @ features).reshape(window, window)
            count[place] += 1
    known = count == 9
    return np.divide(total, count, where=known, out=np.zeros_like(total)), known


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_luma_is_what_the_paper_computes_patch_by_patch(scale: int) -> None:
    model = random_model(scale)
    low_res = to_float(photo("chelsea", 90, 140, 12)[None]).double()[..., :11, :]
    ours = rgb2ycbcr(model(low_res)[0].permute(1, 2, 0).numpy())[..., 0] / 255
    theirs, known = by_the_paper(model, low_res)
    assert known.sum() == (11 - 6) * (12 - 6) * scale**2
    assert np.abs(ours - theirs)[known].max() < 1e-9
    assert (
        np.abs(ours - rgb2ycbcr(upscale(low_res, scale)[0].permute(1, 2, 0))[..., 0] / 255)[
            known
        ].max()
        > 0.1
    )


def test_colours_are_bicubics(fitted: APlus) -> None:
    low_res = to_float(downscale(photo("chelsea", 60, 120), 3))[None]
    ours, theirs = (
        rgb2ycbcr(image[0].double().permute(1, 2, 0).numpy())
        for image in (fitted(low_res), upscale(low_res, 3))
    )
    assert np.abs(ours - theirs)[..., 1:].max() < 1e-3
    assert np.abs(ours - theirs)[..., 0].max() > 5


def test_a_photo_it_has_not_seen_gets_sharper_than_bicubic(fitted: APlus) -> None:
    high_res = photo("coffee", 60, 200)
    prediction = to_uint8(fitted(to_float(downscale(high_res, 3))[None])[0])
    ours, bicubic = (
        scores["psnr_y"]
        for scores in (score_image(prediction, high_res, 3), score_bicubic(high_res, 3))
    )
    assert ours > bicubic + 0.8


def test_projection_is_the_principal_components_of_the_gradients(fitted: APlus) -> None:
    rows = fitted.projection.flatten(1).double()
    assert torch.allclose(rows @ rows.mT, torch.eye(30, dtype=torch.float64), atol=1e-5)
    low_res = to_float(downscale(photo("astronaut", 0, 130), 3))[None]
    energy = fitted._describe(upscale(low_res.mean(1, keepdim=True), 3)).square().mean((0, 2, 3))
    assert energy[0] > 3 * energy[5] > 9 * energy[15] > 27 * energy[29] > 0


def test_the_same_photos_and_seed_give_the_same_values(fitted: APlus, photos: list[Tensor]) -> None:
    again, other = APlus(**OPTIONS), APlus(**OPTIONS)
    again.fit(photos, seed=3, say=lambda line: None)
    other.fit(photos, seed=4, say=lambda line: None)
    for name, value in fitted.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert not torch.equal(other.anchors, fitted.anchors)


def test_a_fitted_network_survives_its_file(fitted: APlus, tmp_path: Path) -> None:
    config = {"_target_": "sr_experiments.models.APlus", "scale": 3, **OPTIONS}
    save_model(fitted, config, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    low_res = to_float(downscale(photo("chelsea", 60, 120), 3))[None]
    assert torch.equal(loaded(low_res), fitted(low_res))


def test_anchors_point_where_samples_do() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(4)
    samples = centres[torch.arange(800) % 4] + 0.05 * torch.randn(800, 4, generator=generator)
    samples /= samples.norm(dim=1, keepdim=True)
    anchors = learn_anchors(samples, 4, seed=1)
    assert (anchors @ centres).abs().amax(dim=0).min() > 0.99
    assert torch.allclose(anchors.norm(dim=1), torch.ones(4))


def test_fewer_samples_make_a_shorter_fit(photos: list[Tensor]) -> None:
    told: list[str] = []
    APlus(**OPTIONS).fit(photos, share=0.1, say=told.append)
    assert "1,500 training patches" in told[1]


def test_photos_that_hold_too_little_are_refused() -> None:
    with pytest.raises(UserError, match="more or larger photos"):
        APlus(**OPTIONS).fit([photo("chelsea", 0, 0, 30)], say=lambda line: None)


@pytest.mark.parametrize(
    "options",
    [
        {"atoms": 0},
        {"features": 325},
        {"neighbours": 200, "patches": 100},
        {"atoms": 300, "dictionary_patches": 200},
        {"ridge": 0.0},
    ],
)
def test_impossible_options_are_refused_by_name(options: dict[str, int | float]) -> None:
    with pytest.raises(UserError, match=f"model.{next(iter(options))}="):
        APlus(**options)


@pytest.mark.slow
def test_t91_brings_set5_near_the_published_number(data_dir: Path) -> None:
    from sr_experiments.data import SRData

    sets = SRData(["t91"], ["photos:val"], ["set5"], 3, data_dir=data_dir)
    model = APlus(atoms=64, neighbours=1024, patches=200_000, dictionary_patches=4_000)
    model.fit(sets.train_images())
    scores = [
        score_image(to_uint8(model(to_float(low_res)[None])[0]), high_res, 3)["psnr_y"]
        for _, low_res, high_res in sets.test_sets()["set5"]
    ]
    # Timofte et al.: 32.59 dB with 1,024 atoms and 5 million patches.
    assert 32.1 < np.mean(scores) < 32.7
