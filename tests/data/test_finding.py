"""Specifications, published layouts, and what a user is told when a set is not there."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from sr_experiments.data.finding import find_images, missing_split
from sr_experiments.data.sources import SOURCES
from sr_experiments.errors import UserError


def fill(folder: Path, names: list[str]) -> None:
    """Many names of one small image: layouts are about names."""
    folder.mkdir(parents=True)
    first = folder / names[0]
    Image.new("RGB", (8, 8)).save(first)
    for name in names[1:]:
        os.link(first, folder / name)


def numbered(first: int, last: int, suffix: str = ".png") -> list[str]:
    return [f"{number:04d}{suffix}" for number in range(first, last + 1)]


def names(spec: str, data_dir: Path | None, cache: Path, root: Path | None = None) -> list[str]:
    return [file.name for file in find_images(spec, data_dir, cache, root)]


def test_the_photos_are_fixed_and_need_no_download(tmp_path: Path) -> None:
    assert names("photos:val", None, tmp_path) == ["chelsea"]
    assert names("photos:test", None, tmp_path) == ["coffee"]
    training = names("photos:train", None, tmp_path)
    assert "astronaut" in training
    assert not {"chelsea", "coffee"} & set(training)


def test_locating_the_photos_does_not_import_skimage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, module)
    assert find_images("photos:train", None, tmp_path)[0].path.is_file()
    assert "skimage" not in sys.modules


@pytest.mark.parametrize("place", ["data", "data/train", "cache/datasets"])
def test_div2k_is_found_in_its_published_layout_and_cut_by_number(
    tmp_path: Path, place: str
) -> None:
    div2k = tmp_path / place / "DIV2K"
    fill(div2k / "DIV2K_train_HR", numbered(1, 800))
    fill(div2k / "DIV2K_train_LR_bicubic" / "X3", numbered(1, 800, "x3.png"))
    fill(div2k / "DIV2K_valid_HR", numbered(801, 900))
    data, cache = tmp_path / "data", tmp_path / "cache"
    training = find_images("div2k:1-792", data, cache)
    assert (training[0].name, training[-1].name, len(training)) == ("0001", "0792", 792)
    assert training[4].low_res == {3: div2k / "DIV2K_train_LR_bicubic" / "X3" / "0005x3.png"}
    assert names("div2k:793-800", data, cache) == [f"{number:04d}" for number in range(793, 801)]
    assert names("div2k:val", data, cache)[0] == "0801"
    assert names("div2k", data, cache) == names("div2k:train", data, cache)


def test_set5_brings_its_low_res_images(data_dir: Path, tmp_path: Path) -> None:
    files = find_images("set5", data_dir, tmp_path)
    assert [file.name for file in files] == ["baby", "bird", "butterfly", "head", "woman"]
    assert files[1].low_res[3].name == "birdx3.png"
    assert {2, 3, 4} <= files[1].low_res.keys()


def test_folders_are_found_whatever_their_case(tmp_path: Path) -> None:
    fill(tmp_path / "SET5" / "hr", ["a.png", "b.png", "c.png", "d.png", "e.png"])
    fill(tmp_path / "SET5" / "lr_BICUBIC" / "x2", ["ax2.png", "bx2.png"])
    files = find_images("set5", tmp_path, tmp_path / "cache")
    assert files[0].low_res[2].name == "ax2.png"
    assert files[2].low_res == {}


@pytest.mark.parametrize("layout", ["Set5", "benchmark/Set5/HR", "test/Set5/original"])
def test_other_published_layouts_are_found(tmp_path: Path, layout: str) -> None:
    fill(tmp_path / layout, [f"{name}.png" for name in "abcde"])
    assert names("set5", tmp_path, tmp_path / "cache") == list("abcde")


def test_an_absent_set_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_images("div2k:1-792", tmp_path / "mine", tmp_path / "cache")
    message = str(caught.value)
    assert "DIV2K/DIV2K_train_HR/ with its 800 images" in message
    assert str(tmp_path / "mine" / "train") in message
    assert "python -m sr_experiments.prepare data=div2k" in message
    assert "SR_DATA_DIR" in message


def test_a_set_behind_a_form_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"form on manga109\.org"):
        find_images("manga109", tmp_path, tmp_path)


def test_a_set_that_lacks_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "T91", [f"t{number}.png" for number in range(90)])
    with pytest.raises(UserError, match=r"T91 holds 90 images instead of 91"):
        find_images("t91", tmp_path, tmp_path)
    assert missing_split("t91", tmp_path, tmp_path) is SOURCES["t91"].splits["train"]


def test_only_what_is_not_here_is_missing(tmp_path: Path) -> None:
    fill(tmp_path / "DIV2K" / "DIV2K_train_HR", numbered(1, 800))
    assert missing_split("div2k:1-792", tmp_path, tmp_path) is None
    assert missing_split("div2k:val", tmp_path, tmp_path) is SOURCES["div2k"].splits["val"]
    assert missing_split("photos:train", tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("div3k", "did you mean div2k"),
        ("photos:valid", "the splits are train, colour, val, test"),
        ("photos:5-99", "numbered 1 to 10"),
        ("photos:0-3", "numbered 1 to 10"),
        ("photos:3-2", "numbered 1 to 10"),
        ("set5:train", "the splits are test"),
        ("photos train", "not of the form"),
        ("folder:middle", "the splits are train, val, test"),
    ],
)
def test_a_wrong_specification_is_explained(
    data_dir: Path, tmp_path: Path, spec: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        find_images(spec, data_dir, tmp_path, tmp_path)


def test_a_flat_folder_holds_a_few_images_out(tmp_path: Path) -> None:
    fill(tmp_path / "mine", numbered(1, 40, ".JPG"))
    training = names("folder:train", None, tmp_path, tmp_path / "mine")
    held_out = names("folder:val", None, tmp_path, tmp_path / "mine")
    assert held_out == ["0039", "0040"]
    assert [*training, *held_out] == names("folder", None, tmp_path, tmp_path / "mine")


def test_a_folder_with_splits_uses_them(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("Val", 2), ("test", 1)):
        fill(tmp_path / "mine" / split, numbered(1, count))
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        assert len(find_images(f"folder:{split}", None, tmp_path, tmp_path / "mine")) == count


def test_shadow_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    fill(root / "deeper", ["b.png", "._b.png"])
    fill(root / ".thumbnails", ["c.png"])
    (root / "notes.txt").write_text("no image")
    Image.new("RGB", (8, 8)).save(root / "a.bmp")
    Image.new("RGB", (8, 8)).save(root / "a.tif")
    assert names("folder", None, tmp_path, root) == ["a.bmp", "a.tif", "deeper/b"]


def test_a_folder_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=\.\.\."):
        find_images("folder:train", None, tmp_path, None)
    with pytest.raises(UserError, match="there is no such folder"):
        find_images("folder", None, tmp_path, tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no images"):
        find_images("folder", None, tmp_path, tmp_path)
    fill(tmp_path / "one", ["a.png"])
    with pytest.raises(UserError, match="one image is too few"):
        find_images("folder:train", None, tmp_path, tmp_path / "one")
    fill(tmp_path / "split" / "val", ["a.png"])
    with pytest.raises(UserError, match="needs train/ too"):
        find_images("folder:train", None, tmp_path, tmp_path / "split")
    with pytest.raises(UserError, match="no folder test/"):
        find_images("folder:test", None, tmp_path, tmp_path / "one")


def test_published_checksums_have_the_length_of_their_kind() -> None:
    lengths = {"sha256": 64, "md5": 32}
    archives = [
        split.archive
        for source in SOURCES.values()
        for split in source.splits.values()
        if split.archive is not None
    ]
    assert len(archives) >= 8
    for archive in archives:
        if archive.checksum is not None:
            kind, _, digest = archive.checksum.partition(":")
            assert len(bytes.fromhex(digest)) * 2 == lengths[kind], archive.url
