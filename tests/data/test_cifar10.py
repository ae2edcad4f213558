import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from sr_experiments.data import Cifar10Data
from sr_experiments.data.cifar10_store import CLASSES
from sr_experiments.errors import UserError


def plain(root: Path, cache: Path, **options: object) -> Cifar10Data:
    values = {"crop": 0, "mirror": False, "images": 120, "batch_size": 30, **options}
    return Cifar10Data(root, cache_dir=cache, **values)  # type: ignore[arg-type]


def member(file: Path, name: str) -> np.ndarray:
    with zipfile.ZipFile(file) as archive:
        return np.asarray(Image.open(io.BytesIO(archive.read(name))))


def test_the_zips_pictures_and_classes_are_packed_once_and_shuffled(
    cifar10_zip: Path, tmp_path: Path
) -> None:
    data = plain(cifar10_zip, tmp_path)
    pictures = {picture.numpy().tobytes() for picture in data.pictures()}
    for index, label in enumerate(CLASSES):
        wanted = member(cifar10_zip, f"train/{label}/0003.jpg").transpose(2, 0, 1)
        assert np.ascontiguousarray(wanted).tobytes() in pictures
        assert int((data.labels() == index).sum()) == 12
    assert data.labels()[:20].unique().numel() > 4
    (file,) = (tmp_path / "packed").glob("*.safetensors")
    stamp = file.stat().st_mtime_ns
    assert torch.equal(plain(cifar10_zip, tmp_path, images=50).pictures(), data.pictures()[:50])
    assert file.stat().st_mtime_ns == stamp


def test_labels_belong_to_their_pictures(cifar10_zip: Path, tmp_path: Path) -> None:
    data = plain(cifar10_zip, tmp_path)
    corners = data.pictures()[:, :, :2, :2].float().mean((1, 2, 3)) / 20
    assert (corners - data.labels()).abs().max() < 0.5


def test_batches_are_normalised_with_the_published_constants(
    cifar10_zip: Path, tmp_path: Path
) -> None:
    data = plain(cifar10_zip, tmp_path)
    inputs, labels = data.batch(torch.tensor([7, 3]), 0)
    pixels = data.pictures()[[7, 3]].double() / 255
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
    std = torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)
    torch.testing.assert_close(inputs.double(), (pixels - mean) / std, atol=1e-5, rtol=1e-5)
    assert labels.tolist() == data.labels()[[7, 3]].tolist()


def test_crops_and_mirroring_are_a_pure_function_of_seed_and_iteration(
    cifar10_zip: Path, tmp_path: Path
) -> None:
    indices = torch.arange(30)

    def batch(iteration: int, seed: int = 1) -> torch.Tensor:
        data = plain(cifar10_zip, tmp_path, crop=4, mirror=True, seed=seed)
        return data.batch(indices, iteration)[0]

    assert torch.equal(batch(5), batch(5))
    assert not torch.equal(batch(5), batch(6))
    assert not torch.equal(batch(5), batch(5, seed=2))


def test_every_augmented_picture_is_a_window_of_the_padded_one(
    cifar10_zip: Path, tmp_path: Path
) -> None:
    data = plain(cifar10_zip, tmp_path, crop=4, mirror=True, mean=[0.0] * 3, std=[1.0] * 3)
    indices = torch.arange(40)
    seen = (data.batch(indices, 3)[0] * 255).round().to(torch.uint8)
    padded = torch.nn.functional.pad(data.pictures()[:40], (4, 4, 4, 4))
    places = set()
    for picture, source in zip(seen, padded, strict=True):
        found = [
            (row, column, mirrored)
            for row in range(9)
            for column in range(9)
            for mirrored in (False, True)
            if torch.equal(
                picture.flip(2) if mirrored else picture,
                source[:, row : row + 32, column : column + 32],
            )
        ]
        assert len(found) == 1
        places.add(found[0])
    assert {place[2] for place in places} == {False, True}
    assert len({place[:2] for place in places}) > 15


def test_torchvisions_batches_are_read_as_torchvision_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(1)
    listed: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name in names:
        content = {
            "data": random.integers(256, size=(8, 3072), dtype=np.uint8),
            "labels": random.integers(10, size=8).tolist(),
        }
        (folder / name).write_bytes(pickle.dumps(content))
        part = "test_list" if name == "test_batch" else "train_list"
        listed[part].append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
    meta = pickle.dumps({"label_names": list(CLASSES)})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": hashlib.md5(meta).hexdigest()})
    for part, entries in listed.items():
        monkeypatch.setattr(CIFAR10, part, entries)
    data = plain(tmp_path, tmp_path / "cache", images=40, batch_size=10)
    theirs = CIFAR10(str(tmp_path), train=True)
    assert np.array_equal(data.pictures().permute(0, 2, 3, 1).numpy(), theirs.data)
    assert data.labels().tolist() == theirs.targets
    (folder / "data_batch_3").write_bytes(b"cut off")
    with pytest.raises(UserError, match="damaged or not complete"):
        plain(tmp_path, tmp_path / "other", images=40).setup()


def test_pictures_are_resized_on_request(cifar10_zip: Path, tmp_path: Path) -> None:
    data = plain(cifar10_zip, tmp_path, size=16)
    assert data.pictures().shape == (120, 3, 16, 16)
    halves = plain(cifar10_zip, tmp_path).pictures().float().unfold(2, 2, 2).unfold(3, 2, 2)
    assert (data.pictures().float() - halves.mean((4, 5))).abs().mean() < 8  # a wider filter


def test_scored_pictures_are_the_whole_test_part_without_augmentation(
    cifar10_zip: Path, tmp_path: Path
) -> None:
    data = plain(cifar10_zip, tmp_path, crop=4, mirror=True, val_images=5)
    assert data.val_steps() == 1
    validation = data.val_batch(0)
    (tested,) = data.test_batches()
    assert (len(validation[1]), len(tested[1])) == (5, 20)
    assert torch.equal(tested[0][:5], validation[0])
    (few,) = plain(cifar10_zip, tmp_path, test_images=8).test_batches()
    assert torch.equal(few[0], tested[0][:8])


def test_a_set_that_is_not_here_says_what_is_wanted_and_how_to_get_it(tmp_path: Path) -> None:
    data = Cifar10Data(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    with pytest.raises(UserError, match=r"cifar-10-batches-py(.|\n)*torchvision(.|\n)*data\.root"):
        data.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 0}, r"data\.images=0"),
        ({"batch_size": 121}, r"data\.batch_size=121 .* 120"),
        ({"crop": -1}, r"data\.crop=-1"),
        ({"std": [1.0, 0.0, 1.0]}, r"data\.std above 0"),
        ({"classes": ["cat", "dog"]}, r"data\.classes"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plain(tmp_path, tmp_path, **options)


def test_more_pictures_than_there_are_is_refused(cifar10_zip: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.images=121: .* holds 120"):
        plain(cifar10_zip, tmp_path, images=121).setup()


def test_damaged_and_foreign_zips_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK no more")
    with pytest.raises(UserError, match=r"broken\.zip is no zip file"):
        plain(broken, tmp_path).setup()
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("train/platypus/0001.jpg", b"")
    with pytest.raises(UserError, match=r"train/platypus/0001\.jpg is of no class"):
        plain(foreign, tmp_path).setup()
