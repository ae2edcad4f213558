"""The packed file: what is in it, and that it appears whole or not at all."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from sr_experiments.data import store
from sr_experiments.data.finding import ImageFile, find_images
from sr_experiments.data.store import PackedImages, Pairs, pack, packed
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale


def read(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def test_packed_images_are_the_images_cropped_to_the_scale(tmp_path: Path) -> None:
    files = find_images("photos:val", None, tmp_path)  # 451x300
    pack(files, 4, tmp_path / "set.safetensors")
    images = PackedImages(tmp_path / "set.safetensors")
    high_res = read(files[0].path)[:, :300, :448]
    assert (len(images), images.names, images.scale) == (1, ["chelsea"], 4)
    assert torch.equal(images.high_res(0), high_res)
    assert torch.equal(images.low_res(0), downscale(high_res, 4))


def test_low_res_images_that_a_set_brings_are_taken(data_dir: Path, tmp_path: Path) -> None:
    images = packed(find_images("set5", data_dir, tmp_path), 3, tmp_path)
    for index, name in enumerate(images.names):
        matlab = read(data_dir / "test" / "Set5" / "LR_bicubic" / "X3" / f"{name}x3.png")
        assert torch.equal(images.low_res(index), matlab)
        assert images.high_res(index).shape[-2:] == tuple(3 * side for side in matlab.shape[-2:])


def test_low_res_images_of_another_scale_are_refused(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "high.png")
    photo.resize((225, 150)).save(tmp_path / "low.png")
    file = ImageFile("high", tmp_path / "high.png", {3: tmp_path / "low.png"})
    with pytest.raises(UserError, match=r"low\.png \(225x150\) is not .*high\.png \(451x300\)"):
        pack([file], 3, tmp_path / "set.safetensors")


def test_the_file_is_plain_safetensors_with_equal_bytes_each_time(tmp_path: Path) -> None:
    files = find_images("photos:train", None, tmp_path)[:3]
    for name in ("a", "b"):
        pack(files, 3, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safe_open(tmp_path / "a", framework="np") as file:
        assert file.metadata()["scale"] == "3"
        index = file.get_tensor("index")
        width = 3 * index[0, 1]
        first_row = file.get_tensor("high")[: 3 * width].reshape(width, 3)
    assert np.array_equal(first_row, np.array(Image.open(files[0].path))[0, :width])


def test_packing_that_fails_leaves_nothing_behind(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    files = [ImageFile(name, tmp_path / f"{name}.png") for name in ("good", "truncated")]
    with pytest.raises(UserError, match=r"truncated\.png"):
        packed(files, 3, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_the_file_appears_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "set.safetensors"
    there: list[bool] = []
    pack(
        find_images("photos:train", None, tmp_path)[:2],
        3,
        target,
        progress=lambda done, total: there.append(target.exists()),
    )
    assert there == [False, False]
    assert target.is_file()


def test_a_set_is_packed_once_and_again_when_an_image_changes(
    tmp_path: Path, photo: Image.Image
) -> None:
    photo.save(tmp_path / "photo.png")
    files = [ImageFile("photo", tmp_path / "photo.png")]
    calls: list[int] = []

    def count(done: int, total: int) -> None:
        calls.append(done)

    packed(files, 3, tmp_path / "cache", count)
    packed(files, 3, tmp_path / "cache", count)
    assert len(calls) == 1
    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(tmp_path / "photo.png")
    images = packed(files, 3, tmp_path / "cache", count)
    assert len(calls) == 2
    assert torch.equal(images.high_res(0), read(tmp_path / "photo.png")[:, :300, :450])
    packed(files, 2, tmp_path / "cache", count)
    assert len(calls) == 3


def test_two_at_once_pack_only_once(tmp_path: Path) -> None:
    files = find_images("photos:train", None, tmp_path)
    calls: list[int] = []
    threads = [
        threading.Thread(
            target=packed, args=(files, 3, tmp_path, lambda done, total: calls.append(done))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == list(range(1, len(files) + 1))


def test_a_full_disk_is_noticed_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match=r"too little space: packing 10 images .* GB"):
        packed(find_images("photos:train", None, tmp_path), 3, tmp_path)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "packed").touch()
    with pytest.raises(UserError, match=r"packed cannot be written .* paths\.cache_dir"):
        packed(find_images("photos:val", None, tmp_path), 3, tmp_path)


def test_an_image_smaller_than_the_scale_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (40, 2)).save(tmp_path / "line.png")
    with pytest.raises(UserError, match=r"line\.png is smaller than scale=3"):
        pack([ImageFile("line", tmp_path / "line.png")], 3, tmp_path / "set")


def test_a_damaged_packed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"set\.safetensors is no packed set"):
        PackedImages(tmp_path / "set.safetensors")


def test_pairs_read_like_a_list(tmp_path: Path) -> None:
    files = find_images("photos:train", None, tmp_path)[:3]
    pairs = Pairs(packed(files, 3, tmp_path))
    assert [name for name, _, _ in pairs] == [file.name for file in files]
    assert pairs[-1][0] == files[-1].name
    assert [pair[0] for pair in pairs[:2]] == [file.name for file in files[:2]]
    with pytest.raises(IndexError):
        pairs[3]


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    images = packed(find_images("photos:val", None, tmp_path), 3, tmp_path)
    images.high_res(0).zero_()
    assert images.high_res(0).any()
