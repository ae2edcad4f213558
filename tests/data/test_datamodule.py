"""What an experiment gets from its data set, and what is refused before it starts."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from PIL import Image

from sr_experiments.configuration.compose import compose
from sr_experiments.configuration.locations import config_dir, groups
from sr_experiments.configuration.verbs import compose_data
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale


def photos(cache: Path, **changes: Any) -> SRData:
    values: dict[str, Any] = {
        "train": ["photos:train"],
        "val": ["photos:val"],
        "test": ["photos:test", "set5?"],
        "scale": 3,
        "cache_dir": cache,
    }
    return SRData(**(values | changes))


def test_photos_train_validate_and_test_without_a_download(tmp_path: Path) -> None:
    data = photos(tmp_path)
    data.check()
    assert not list(tmp_path.iterdir())  # the check writes nothing
    data.setup()
    low_res, high_res = data.train_batch(0)
    assert (low_res.shape, high_res.shape) == ((16, 3, 32, 32), (16, 3, 96, 96))
    ((name, low_res, high_res),) = data.val_pairs()
    assert (name, low_res.dtype) == ("chelsea", torch.uint8)
    assert torch.equal(low_res, downscale(high_res, 3))
    assert {name: len(pairs) for name, pairs in data.test_sets().items()} == {"photos": 1}
    assert data.sizes() == {"train": 10, "val": 1, "photos": 1}


def test_augmentations_are_words_of_the_command_line(packed_photos: Path) -> None:
    def batch(*words: str) -> list[torch.Tensor]:
        config = compose(["data=photos", "data.dihedral=false", "data.intensity=[1.0]", *words])
        data = instantiate(config.data, cache_dir=packed_photos, _convert_="all")
        return list(data.train_batch(0))

    shuffled, darker = batch("data.channel_shuffle=true"), batch("data.intensity=[0.5]")
    for level, plain in enumerate(batch()):
        assert torch.allclose(darker[level], plain / 2)
        moved = 0
        for colours, original in zip(shuffled[level], plain, strict=True):
            orders = [list(order) for order in itertools.permutations(range(3))]
            assert any(torch.equal(colours, original[order]) for order in orders)
            moved += not torch.equal(colours, original)
        assert moved > 4  # of 16; five sixths on average, and grey photos stay as they are


def test_what_is_asked_for_before_setup_is_packed_then(packed_photos: Path) -> None:
    assert [name for name, _, _ in photos(packed_photos).val_pairs()] == ["chelsea"]
    assert photos(packed_photos).test_sets()["photos"][0][0] == "coffee"
    assert photos(packed_photos).train_batch(3)[0].shape[0] == 16


def test_an_optional_test_set_that_is_absent_is_reported(tmp_path: Path) -> None:
    data = photos(tmp_path)
    data.check()
    assert list(data.missing) == ["set5"]
    assert "prepare data=set5" in data.missing["set5"]
    with pytest.raises(UserError, match=r"set5 .* is not here"):
        photos(tmp_path, test=["set5"]).check()


def test_an_optional_test_set_that_is_here_is_used(tmp_path: Path, data_dir: Path) -> None:
    data = photos(tmp_path, data_dir=data_dir)
    assert data.test_sets()["set5"][0][0] == "baby"
    assert data.missing == {}


def test_two_parts_of_a_set_keep_their_full_names(tmp_path: Path) -> None:
    data = photos(tmp_path, test=["photos:test", "photos:1-2"], train=["photos:3-10"])
    assert {name: len(pairs) for name, pairs in data.test_sets().items()} == {
        "photos:test": 1,
        "photos:1-2": 2,
    }


def test_training_on_a_measured_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"astronaut\.png is in data\.train and in data\.val"):
        photos(tmp_path, val=["photos:1-2"]).check()
    with pytest.raises(UserError, match=r"coffee\.png is in data\.train"):
        photos(tmp_path, train=["photos:train", "photos:test"]).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0}, "scale=0 is not a whole number"),
        ({"batch_size": 0}, "data.batch_size=0"),
        ({"patch": 1.5}, "data.patch=1.5"),
        ({"steps_per_epoch": 0}, "data.steps_per_epoch=0"),
        ({"intensity": []}, "data.intensity"),
        ({"intensity": [1.0, 0.0]}, "data.intensity"),
        ({"intensity": [1.5]}, "data.intensity"),
        (
            {"patch": 150},
            r"rocket\.jpg is 142 .* lower data\.patch to 142, .* data\.small=leave_out .*=mirror",
        ),
        ({"small": "pad"}, "data.small=pad is not one of refuse, leave_out, mirror"),
        ({"patch": 500, "small": "leave_out"}, r"leaves no image: .* lower data\.patch to 470"),
        ({"train": ["div2k"]}, "prepare data=div2k"),
        ({"val": ["folder:val"]}, r"data\.root=\.\.\."),
    ],
)
def test_a_mistake_is_explained_before_anything_is_decoded(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        photos(tmp_path, **changes).check()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("small", ["leave_out", "mirror"])
def test_photos_smaller_than_a_crop_train_when_asked_for(packed_photos: Path, small: str) -> None:
    before = sorted((packed_photos / "packed").iterdir())
    data = photos(packed_photos, patch=150, small=small, batch_size=2)
    data.check()
    data.setup()
    low_res, high_res = data.train_batch(0)
    assert (low_res.shape, high_res.shape) == ((2, 3, 150, 150), (2, 3, 450, 450))
    assert sorted((packed_photos / "packed").iterdir()) == before  # nothing is packed anew


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"paths\.cache_dir=.*file cannot be written to"):
        photos(tmp_path / "file" / "cache").check()


def test_no_sets_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.train names no set"):
        photos(tmp_path, train=[]).setup()


def test_an_image_too_small_to_be_scored_is_named(tmp_path: Path, photo: Image.Image) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    photo.save(folder / "a.png")
    photo.crop((0, 0, 100, 15)).save(folder / "b.png")
    with pytest.raises(UserError, match=r"b\.png is 5 pixels .* cannot be scored"):
        photos(tmp_path, test=["folder"], root=folder).check()


def test_any_folder_of_images_trains(tmp_path: Path, photo: Image.Image) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for index, mode in enumerate(["RGB", "L", "RGBA", "CMYK"]):
        photo.convert(mode).save(folder / f"{index}.{'jpg' if mode == 'CMYK' else 'png'}")
    data = photos(tmp_path, train=["folder:train"], val=["folder:val"], root=folder)
    data.check()
    data.setup()
    assert data.sizes() == {"train": 3, "val": 1, "photos": 1}


def test_calibration_crops_come_from_the_set_that_is_named(packed_photos: Path) -> None:
    data = photos(packed_photos)
    crops = {source: data.calibration(3, 24, source) for source in ("train", "val", "photos:test")}
    assert not torch.equal(crops["train"], crops["val"])
    assert not torch.equal(crops["val"], crops["photos:test"])
    assert torch.equal(data.calibration(3, 24), crops["train"])
    with pytest.raises(UserError, match="nowhere"):
        data.calibration_files("nowhere")


def test_calibration_crops_are_fixed_and_plain(packed_photos: Path) -> None:
    first = photos(packed_photos, seed=1).calibration(4, 48)
    again = photos(packed_photos, seed=2, batch_size=3, intensity=[0.5]).calibration(4, 48)
    assert first.shape == (4, 3, 48, 48)
    assert torch.equal(first, again)
    assert first.max() > 0.7  # not darkened
    assert photos(packed_photos).calibration(2, 4000).shape == (
        2,
        3,
        142,
        142,
    )  # the smallest photo


SMALL_PHOTOS = (
    "t91",
    "t91_general100",
    "t91_bsds200",
    "t91_general100_bsds200",
    "t91_general100_bsds200_photos2k",
)


def of_pairs(name: str) -> bool:
    """Whether an option of the group is one of ours: pictures to enlarge."""
    text = (config_dir() / "data" / f"{name}.yaml").read_text(encoding="utf-8")
    return "base/sampling" in text and "_target_" not in text


@pytest.mark.parametrize("name", [name for name in groups()["data"] if of_pairs(name)])
def test_every_data_option_makes_a_data_set_with_the_shared_defaults(
    tmp_path: Path, name: str
) -> None:
    root = [f"data.root={tmp_path}"] if name == "folder" else []
    data = compose_data(name, ["scale=2", f"paths.cache_dir={tmp_path}", "seed=5", *root])
    assert isinstance(data, SRData)
    assert (data.scale, data.seed, data.batch_size) == (2, 5, 16)
    assert data.steps_per_epoch == 100
    assert data.patch == (16 if name in SMALL_PHOTOS else 32)
    assert data.train
    assert data.val
    assert data.test


def test_swift_srgans_sets_are_those_of_its_table_1(tmp_path: Path) -> None:
    experiment = compose(["experiment=swift_srgan/paper"]).data
    data = instantiate(experiment, cache_dir=tmp_path, data_dir=tmp_path, _convert_="all")
    counts = {"DIV2K/DIV2K_train_HR": 800, "Flickr2K/Flickr2K_HR": 2650}
    for name, count in (counts | {"DIV2K/DIV2K_valid_HR": 100}).items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "1.png")
        for number in range(2, count + 1):
            (folder / f"{number}.png").hardlink_to(folder / "1.png")
    trained = [file.path.parent for file in data.calibration_files("train")]
    assert Counter(trained) == {tmp_path / name: count for name, count in counts.items()}
    measured = [file.path.parent.name for file in data.calibration_files("val")]
    assert Counter(measured) == {"DIV2K_valid_HR": 100}
    assert (experiment.patch, experiment.small) == (256, "mirror")


def test_div2k_is_split_as_in_xlsrs_paper(tmp_path: Path) -> None:
    data = compose_data("div2k", [f"paths.cache_dir={tmp_path}"])
    assert (data.train, data.val) == (["div2k:1-792"], ["div2k:793-800"])
