"""Crops, their alignment, their augmentation, and batches as a pure function."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sr_experiments.data.finding import ImageFile, find_images
from sr_experiments.data.sampler import Draw, PatchSampler, _fits
from sr_experiments.data.store import PackedImages, packed
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale

PLAIN = {"dihedral": False, "intensity": (1.0,)}


@pytest.fixture(scope="module")
def photos(packed_photos: Path) -> PackedImages:
    return packed(find_images("photos:train", None, packed_photos), 3, packed_photos)


def store_of(folder: Path, images: dict[str, Image.Image], scale: int) -> PackedImages:
    files = []
    for name, image in images.items():
        image.save(folder / f"{name}.png")
        files.append(ImageFile(name, folder / f"{name}.png"))
    return packed(files, scale, folder / "cache")


def to_bytes(batch: Tensor) -> Tensor:
    return batch.mul(255).round().to(torch.uint8)


def the_eight(image: Tensor) -> list[Tensor]:
    """The symmetries of the square by numpy, of a (3, S, S) image."""
    pixels = image.numpy()
    turned = [np.rot90(pixels, quarter, axes=(1, 2)) for quarter in range(4)]
    return [torch.from_numpy(item.copy()) for one in turned for item in (one, one[:, :, ::-1])]


def test_batches_have_the_promised_form(photos: PackedImages) -> None:
    low_res, high_res = PatchSampler(photos, 5, 20, seed=1)(0)
    assert (low_res.shape, high_res.shape) == ((5, 3, 20, 20), (5, 3, 60, 60))
    for batch in (low_res, high_res):
        assert batch.dtype == torch.float32
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert batch.min() >= 0
        assert batch.max() <= 1


def test_a_low_res_crop_is_its_high_res_crop_shrunk(photos: PackedImages) -> None:
    low_res, high_res = PatchSampler(photos, 64, 24, seed=3, **PLAIN)(0)
    shrunk = downscale(to_bytes(high_res), 3)
    # The kernel reaches 2 low-res pixels, where the crop's border is not the photo's.
    inside = (..., slice(3, -3), slice(3, -3))
    assert torch.equal(shrunk[inside], to_bytes(low_res)[inside])


def test_augmented_crops_stay_aligned(photos: PackedImages) -> None:
    low_res, high_res = PatchSampler(photos, 64, 24, seed=3, intensity=(1.0,))(0)
    inside = (..., slice(3, -3), slice(3, -3))
    for low, high in zip(to_bytes(low_res), to_bytes(high_res), strict=True):
        # One of the eight turns both back to how the photo was shrunk.
        assert any(
            torch.equal(downscale(upright_high, 3)[inside], upright_low[inside])
            for upright_low, upright_high in zip(the_eight(low), the_eight(high), strict=True)
        )


def test_every_crop_is_a_piece_of_an_image(photos: PackedImages) -> None:
    _, high_res = PatchSampler(photos, 8, 32, seed=5, **PLAIN)(7)
    images = [photos.high_res(index).permute(1, 2, 0).numpy() for index in range(len(photos))]
    for crop in to_bytes(high_res).permute(0, 2, 3, 1).numpy():
        found = False
        for image in images:
            rows, columns = np.nonzero((image[:-95, :-95] == crop[0, 0]).all(axis=-1))
            found |= any(
                np.array_equal(image[row : row + 96, column : column + 96], crop)
                for row, column in zip(rows, columns, strict=True)
            )
        assert found


def test_the_eight_symmetries_occur_equally_often_and_alike(
    tmp_path: Path, photo: Image.Image
) -> None:
    store = store_of(tmp_path, {"photo": photo.crop((100, 50, 124, 74))}, scale=3)
    low_variants, high_variants = the_eight(store.low_res(0)), the_eight(store.high_res(0))
    low_res, high_res = PatchSampler(store, 4000, 8, seed=1, intensity=(1.0,))(0)
    counts: Counter[int] = Counter()
    for low, high in zip(to_bytes(low_res), to_bytes(high_res), strict=True):
        which = [torch.equal(low, variant) for variant in low_variants].index(True)
        assert torch.equal(high, high_variants[which])
        counts[which] += 1
    assert sorted(counts) == list(range(8))
    # 500 each; the standard deviation of a count is 21.
    assert max(abs(count - 500) for count in counts.values()) < 5 * 21


def test_intensity_factors_occur_equally_often_and_alike(
    tmp_path: Path, photo: Image.Image
) -> None:
    store = store_of(tmp_path, {"photo": photo.crop((100, 50, 124, 74))}, scale=3)
    sampler = PatchSampler(store, 3000, 8, seed=1, dihedral=False, intensity=(1.0, 0.7, 0.5))
    low_res, high_res = sampler(0)
    reference = store.high_res(0).double().mean() / 255
    factors = high_res.double().mean(dim=(1, 2, 3)) / reference
    low_factors = low_res.double().mean(dim=(1, 2, 3)) / (store.low_res(0).double().mean() / 255)
    assert torch.allclose(factors, low_factors, atol=1e-6)
    counts = Counter(round(factor, 3) for factor in factors.tolist())
    assert sorted(counts) == [0.5, 0.7, 1.0]
    assert max(abs(count - 1000) for count in counts.values()) < 5 * 26


def test_colours_are_shuffled_in_all_six_ways_and_alike(tmp_path: Path, photo: Image.Image) -> None:
    store = store_of(tmp_path, {"photo": photo.crop((100, 50, 124, 74))}, scale=3)
    sampler = PatchSampler(store, 600, 8, seed=1, channel_shuffle=True, **PLAIN)
    low_res, high_res = sampler(0)
    low_means, high_means = (store.low_res(0).float(), store.high_res(0).float())
    orders: Counter[tuple[int, ...]] = Counter()
    for low, high in zip(to_bytes(low_res).float(), to_bytes(high_res).float(), strict=True):
        order = tuple(
            [torch.equal(channel, known) for known in low_means].index(True) for channel in low
        )
        assert torch.equal(high, high_means[list(order)])
        orders[order] += 1
    assert sorted(orders) == [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    assert min(orders.values()) > 100 - 5 * 10


def test_every_place_of_an_image_is_drawn_its_edges_too(tmp_path: Path, photo: Image.Image) -> None:
    store = store_of(tmp_path, {"photo": photo.crop((100, 50, 120, 68))}, scale=2)  # 10x9 low-res
    low_res, _ = PatchSampler(store, 600, 8, seed=1, **PLAIN)(0)
    image = store.low_res(0)
    places = {
        (row, column): image[:, row : row + 8, column : column + 8]
        for row in range(2)
        for column in range(3)
    }
    counts = Counter(
        next(place for place, crop in places.items() if torch.equal(crop, drawn))
        for drawn in to_bytes(low_res)
    )
    assert sorted(counts) == sorted(places)
    assert min(counts.values()) > 100 - 5 * 10


def test_images_are_drawn_equally_often_whatever_their_size(tmp_path: Path) -> None:
    store = store_of(
        tmp_path,
        {"small": Image.new("RGB", (24, 24), (255, 0, 0)), "large": Image.new("RGB", (240, 240))},
        scale=3,
    )
    low_res, _ = PatchSampler(store, 1000, 8, seed=1, **PLAIN)(0)
    small = int((low_res[:, 0].amax(dim=(1, 2)) == 1).sum())
    assert abs(small - 500) < 5 * 16


def test_a_batch_is_a_pure_function_of_seed_and_iteration(photos: PackedImages) -> None:
    first, second = (PatchSampler(photos, 4, 16, seed=7) for _ in range(2))
    forward = [first(iteration) for iteration in range(20)]
    backward = [second(iteration) for iteration in reversed(range(20))][::-1]
    for (low, high), (low_again, high_again) in zip(forward, backward, strict=True):
        assert torch.equal(low, low_again)
        assert torch.equal(high, high_again)


def test_no_two_seeds_or_iterations_share_a_batch(photos: PackedImages) -> None:
    batches = {
        PatchSampler(photos, 2, 16, seed=seed)(iteration)[0].numpy().tobytes()
        for seed in (-1, 0, 1, 2, 3)
        for iteration in range(100)
    }
    assert len(batches) == 500


def test_drawing_a_batch_does_not_touch_the_global_random_state(photos: PackedImages) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    PatchSampler(photos, 2, 16, seed=1)(0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_patch_larger_than_an_image_names_the_image(photos: PackedImages) -> None:
    with pytest.raises(UserError, match=r"patch=200 .* image rocket.*data\.small=leave_out"):
        PatchSampler(photos, 2, 200, seed=1)


def narrow_photos(folder: Path, photo: Image.Image, scale: int) -> PackedImages:
    """Four photos of which a crop of 12 fits in one; the first and the last are tiny."""
    boxes = {"dot": (5, 4), "wide": (24, 7), "large": (15, 14), "tall": (3, 20)}
    images = {
        f"{number}{name}": photo.crop((90, 60, 90 + scale * width, 60 + scale * height))
        for number, (name, (width, height)) in enumerate(boxes.items())
    }
    return store_of(folder, images, scale)


def test_a_small_photo_goes_on_mirrored_in_both_resolutions(
    tmp_path: Path, photo: Image.Image
) -> None:
    store = narrow_photos(tmp_path, photo, scale=3)
    low_res, high_res = PatchSampler(store, 600, 12, seed=1, small="mirror", **PLAIN)(0)
    drawn = Counter(
        (low.numpy().tobytes(), high.numpy().tobytes())
        for low, high in zip(to_bytes(low_res), to_bytes(high_res), strict=True)
    )
    places = []
    for index in range(len(store)):
        pixels = np.pad(store.high_res(index).numpy(), ((0, 0), (36, 36), (36, 36)), "symmetric")
        padded = torch.from_numpy(pixels)
        shrunk = downscale(padded, 3)
        height, width = store.sizes[index].tolist()
        # The whole photo is in the crop, or the whole crop in the photo.
        rows, columns = (range(min(12, side), max(12, side) + 1) for side in (height, width))
        places.append(
            {
                (
                    shrunk[:, top : top + 12, left : left + 12].numpy().tobytes(),
                    padded[:, 3 * top : 3 * top + 36, 3 * left : 3 * left + 36].numpy().tobytes(),
                )
                for top in rows
                for left in columns
            }
        )
    # Mirrored twice, the fewest pixels repeat within a crop.
    assert [len(one) for one in places] == [8 * 8, 6 * 13, 3 * 4, 9 * 6]
    assert drawn.keys() <= set().union(*places)
    for one in places:  # 150 each; the standard deviation of a count is 11
        assert abs(sum(drawn[crop] for crop in one) - 150) < 5 * 11
    # Most places are drawn: each of those that are rarest twice on average.
    assert len(drawn) > 0.75 * sum(map(len, places))


def test_a_photo_that_is_large_enough_is_cut_as_ever(photos: PackedImages) -> None:
    for low_res, high_res in (
        PatchSampler(photos, 8, 24, seed=3, small=small)(1) for small in ("leave_out", "mirror")
    ):
        expected = PatchSampler(photos, 8, 24, seed=3)(1)
        assert torch.equal(low_res, expected[0])
        assert torch.equal(high_res, expected[1])


def test_small_photos_are_left_out_when_asked_for(tmp_path: Path) -> None:
    levels = {"a": (40, 12), "b": (24, 24), "c": (12, 40), "d": (30, 27)}
    images = {
        name: Image.new("RGB", size, (50 * number, 0, 0))
        for number, (name, size) in enumerate(levels.items())
    }
    store = store_of(tmp_path, images, scale=3)
    low_res, _ = PatchSampler(store, 1000, 8, seed=1, small="leave_out", **PLAIN)(0)
    counts = Counter(to_bytes(low_res)[:, 0, 0, 0].tolist())
    assert sorted(counts) == [50, 150]
    assert abs(counts[50] - 500) < 5 * 16
    with pytest.raises(UserError, match=r"every image, the largest 10x9 pixels .* lower .* to 9$"):
        PatchSampler(store, 2, 10, seed=1, small="leave_out")


@pytest.mark.parametrize("small", ["leave_out", "mirror"])
def test_batches_with_small_photos_are_pure_and_can_be_cut_together(
    tmp_path: Path, photo: Image.Image, small: str
) -> None:
    store = narrow_photos(tmp_path, photo, scale=2)
    first, second = (PatchSampler(store, 5, 12, seed=7, small=small) for _ in range(2))
    forward = [first(iteration) for iteration in range(6)]
    backward = [second(iteration) for iteration in reversed(range(6))][::-1]
    drawn = zip(*(first.draw(iteration) for iteration in range(6)), strict=True)
    together = first.cut(Draw(*(torch.cat(values) for values in drawn)))
    for level in (0, 1):
        expected = torch.cat([batch[level] for batch in forward])
        assert torch.equal(expected, torch.cat([batch[level] for batch in backward]))
        assert torch.equal(expected, together[level])


@pytest.mark.gpu
@pytest.mark.parametrize("patch", [32, 160])  # one photo is 142 wide
def test_every_device_draws_the_same_batches(photos: PackedImages, patch: int) -> None:
    on_cpu, on_gpu = (
        PatchSampler(photos, 16, patch, seed=1, channel_shuffle=True, small="mirror", device=device)
        for device in ("cpu", "cuda")
    )
    for iteration in range(5):
        for here, there in zip(on_cpu(iteration), on_gpu(iteration), strict=True):
            assert there.is_cuda
            assert torch.equal(here, there.cpu())


def test_a_set_lies_on_a_gpu_that_has_twice_its_size_free(
    photos: PackedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = photos.low.numel() + photos.high.numel()
    for free, fits in ((2 * size, False), (2 * size + 1, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 10 * size))
        assert _fits(photos, torch.device("cuda")) is fits
    assert _fits(photos, torch.device("cpu"))
    assert not _fits(photos, torch.device("mps"))
