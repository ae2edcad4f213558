from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sr_experiments.data import LabelledData, square
from sr_experiments.errors import UserError

COUNT = 40


def write(root: Path, count: int = COUNT, side: int = 24) -> Path:
    """Faces that are one colour each: red is 6 times their number."""
    root.mkdir()
    rows = ["file,label"]
    for index in range(count):
        pixels = np.full((side, side, 3), (6 * index, 100, 200), np.uint8)
        Image.fromarray(pixels).save(root / f"{index}.png")
        rows.append(f"{index}.png,{int(index % 4 == 0)}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def data(tmp_path: Path, **options: object) -> LabelledData:
    root = tmp_path / "set"
    if not root.exists():
        write(root)
    given = {"size": 8, "batch_size": 8, "cache_dir": tmp_path / "cache", **options}
    return LabelledData(root, "labels.csv", ["{file}"], "label", ["no", "yes"], **given)  # type: ignore[arg-type]


def number(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 4, 4] * 255 / 6).round().int().tolist()


def test_a_pass_shows_every_training_picture_once_with_its_label(tmp_path: Path) -> None:
    made = data(tmp_path)
    made.check()
    train = made.split()["train"]
    assert len(train) == 32  # 4 of 40 test, 4 of the other 36 validate
    assert made.steps_per_epoch == 4
    seen: list[int] = []
    for step in range(4):
        images, labels = made.train_batch(step)
        assert images.shape == (8, 3, 8, 8)
        assert images.dtype == torch.float32
        assert labels.tolist() == [int(index % 4 == 0) for index in number(images)]
        seen += number(images)
    assert sorted(seen) == train
    again = [index for step in range(4, 8) for index in number(made.train_batch(step)[0])]
    assert sorted(again) == train
    assert again != seen


def test_a_batch_is_a_pure_function_of_seed_and_iteration(tmp_path: Path) -> None:
    first, second = data(tmp_path, mirror=True), data(tmp_path, mirror=True)
    first.train_batch(0)
    for step in (5, 3):
        assert torch.equal(first.train_batch(step)[0], second.train_batch(step)[0])
    other = data(tmp_path, seed=2)
    assert number(first.train_batch(3)[0]) != number(other.train_batch(3)[0])
    assert other.split() == first.split()


@pytest.mark.parametrize(("batch_size", "sizes"), [(12, [12, 12, 8]), (31, [31]), (100, [32])])
def test_the_last_batch_is_smaller_and_never_a_single_picture(
    tmp_path: Path, batch_size: int, sizes: list[int]
) -> None:
    made = data(tmp_path, batch_size=batch_size)
    assert made.steps_per_epoch == len(sizes)
    assert [len(made.train_batch(step)[1]) for step in range(len(sizes))] == sizes


def test_shards_hold_the_same_pictures(tmp_path: Path) -> None:
    whole, shards = data(tmp_path), data(tmp_path, shard=15)
    for step in range(4):
        assert torch.equal(whole.train_batch(step)[0], shards.train_batch(step)[0])
    assert [len(shard) for shard in shards.part("train").store.shards] == [15, 15, 10]
    packed = sorted((tmp_path / "cache" / "packed").glob("*.safetensors"))
    assert len(packed) == 4
    assert load_file(max(packed, key=lambda path: path.stat().st_size))["pixels"].shape[0] == COUNT


def test_only_training_pictures_are_mirrored(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 255
    for index in range(COUNT):
        Image.fromarray(pixels).save(root / f"{index}.png")
    rows = [f"{index}.png,{index % 2}" for index in range(COUNT)]
    (root / "labels.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    made = data(tmp_path, mirror=True)
    left = torch.cat([made.train_batch(step)[0][:, 0, 0, 0] for step in range(20)])
    assert 0.3 < left.mean() < 0.7
    part = made.part("val")
    assert bool((part.images(torch.arange(len(part)))[:, 0, 0, 0] == 1).all())


def test_square_takes_the_middle_and_keeps_flat_colours() -> None:
    image = torch.zeros(3, 20, 40, dtype=torch.uint8)
    image[:, :, 10:30] = 200
    assert (square(image, 10) == 200).all()
    assert square(image, 20).shape == (3, 20, 20)
    ramp = torch.arange(64, dtype=torch.uint8).repeat(3, 64, 1)
    reference = Image.fromarray(ramp.permute(1, 2, 0).numpy()).resize(
        (8, 8), Image.Resampling.BICUBIC
    )
    ours = square(ramp, 8).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(ours - np.asarray(reference).astype(int)).max() <= 1


def test_a_damaged_picture_is_named_and_nothing_is_left_packed(tmp_path: Path) -> None:
    made = data(tmp_path)
    (tmp_path / "set" / "7.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"7\.png"):
        made.check()
    with pytest.raises(UserError, match=r"7\.png"):
        made.setup()
    assert not list((tmp_path / "cache" / "packed").glob("*.safetensors"))


def test_a_changed_label_packs_anew(tmp_path: Path) -> None:
    data(tmp_path).setup()
    table = tmp_path / "set" / "labels.csv"
    table.write_text(table.read_text().replace("\n1.png,0", "\n1.png,1"))
    changed = data(tmp_path)
    changed.setup()
    assert changed.part("train").store.labels[1] == 1
