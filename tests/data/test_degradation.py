"""Blur, noise and JPEG of training crops: each as it should be, and the same in every run."""

import io
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data
from torch import Tensor

from sr_experiments.data import degradation
from sr_experiments.data.degradation import Degradation, blurred, compressed
from sr_experiments.errors import UserError


def photo(count: int = 4, size: int = 24) -> Tensor:
    cat = torch.from_numpy(data.chelsea()).permute(2, 0, 1) / 255
    crops = [cat[:, 60 + 20 * i : 60 + 20 * i + size, 120 : 120 + size] for i in range(count)]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last)


def test_a_batch_is_a_pure_function_of_seed_and_iteration() -> None:
    low_res, degrade = photo(), Degradation(share=1.0)
    first = degrade(low_res, 7, 3)
    assert torch.equal(first, degrade(low_res, 7, 3))
    assert not torch.equal(first, degrade(low_res, 7, 4))
    assert not torch.equal(first, degrade(low_res, 8, 3))
    assert (first - low_res).abs().mean() > 0.005
    assert torch.equal((first * 255).round() / 255, first)
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_a_share_of_the_crops_is_left_alone() -> None:
    low_res = photo()
    assert Degradation()(low_res, 1, 0) is low_res
    some = Degradation(share=0.5)
    same = [
        bool(torch.equal(one, other))
        for iteration in range(20)
        for one, other in zip(some(low_res, 1, iteration), low_res, strict=True)
    ]
    assert 0.3 < np.mean(same) < 0.7


def test_blur_is_scipys_gaussian() -> None:
    image = photo(1)[0]
    expected = np.stack(
        [gaussian_filter(plane, 1.0, mode="mirror", truncate=3.0) for plane in image.numpy()]
    )
    assert np.abs(blurred(image, 1.0).numpy() - expected).max() < 1e-5
    assert torch.equal(blurred(image, 0.1), image)


def test_jpeg_is_the_file_of_that_quality() -> None:
    image = photo(1)[0]
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=30)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    assert torch.equal(compressed(image, 30), expected)
    rough, fine = ((compressed(image, q) - image).abs().mean() for q in (10, 95))
    assert rough > 2 * fine


def test_each_part_alone_has_the_strength_asked_for() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    noisy = Degradation(1.0, blur=(0, 0), noise=(10, 10), jpeg=(100, 100))(flat, 1, 0)
    assert noisy.std().item() == pytest.approx(10 / 255, rel=0.3)  # JPEG blurs its colours
    quiet = Degradation(1.0, blur=(0, 0), noise=(0, 0), jpeg=(100, 100))(flat, 1, 0)
    assert (quiet - flat).abs().max() <= 1 / 255


def test_the_six_orders_occur_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[tuple[str, bool]] = []  # what a crop went through, and whether noise came before

    def passing(name: str) -> Callable[[Tensor, float], Tensor]:
        def step(image: Tensor, strength: float) -> Tensor:
            met.append((name, bool((image != 0.5).any())))
            return image

        return step

    for name in ("blurred", "compressed"):
        monkeypatch.setattr(degradation, name, passing(name))
    Degradation(share=1.0, noise=(10, 10))(torch.full((600, 3, 4, 4), 0.5), 1, 0)
    orders = Counter(zip(met[::2], met[1::2], strict=True))
    pair = ("blurred", "compressed")
    assert orders.keys() == {
        ((first, before), (second, later))
        for first, second in (pair, pair[::-1])
        for before, later in ((True, True), (False, True), (False, False))
    }
    # 100 each; the standard deviation of a count is 9.
    assert max(abs(count - 100) for count in orders.values()) < 5 * 9


def test_the_order_changes_what_comes_out() -> None:
    low_res = photo(1)
    made = {
        Degradation(1.0, blur=(1, 1), noise=(8, 8), jpeg=(60, 60))(low_res, 1, i) for i in range(9)
    }
    grain_left = sorted((crop - low_res).diff(dim=-1).abs().mean().item() for crop in made)
    assert grain_left[-1] > 1.5 * grain_left[0]  # noise that comes last is not blurred


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 1.5}, "share=1.5 is not a share"),
        ({"blur": (2.0, 1.0)}, "blur=.*is no range"),
        ({"jpeg": (0, 50)}, "jpeg=.*is no range within 1..100"),
        ({"noise": (1.0,)}, "noise=.*is no range"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Degradation(**options)  # type: ignore[arg-type]
