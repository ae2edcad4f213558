"""``prepare`` from an address to packed images, with a server on this machine."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from rich.console import Console

from sr_experiments.data import SRData
from sr_experiments.data.sources import SOURCES, Archive, Source, Split
from sr_experiments.errors import UserError
from sr_experiments.prepare import main, prepare

if TYPE_CHECKING:
    from conftest import BreakingServer


@pytest.fixture
def tiny(
    server: "BreakingServer", photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> "BreakingServer":
    """``t91`` as a set of 3 photos that the server offers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for index in range(3):
            encoded = io.BytesIO()
            photo.rotate(index).save(encoded, format="PNG")
            zipped.writestr(f"sets/T91/t{index}.png", encoded.getvalue())
    server.content = buffer.getvalue()
    archive = Archive(server.url, None, ("sets/T91/",), note="only for tests")
    monkeypatch.setitem(
        SOURCES, "t91", Source("3 photos", {"train": Split(3, ("T91", "sets/T91"), archive)})
    )
    return server


def data(cache: Path, **changes: object) -> SRData:
    values = {"train": ["t91"], "val": ["photos:val"], "test": ["photos:test", "set5?"]} | changes
    return SRData(**values, scale=3, cache_dir=cache)  # type: ignore[arg-type]


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_set_is_downloaded_over_a_broken_connection_unpacked_and_packed(
    tiny: "BreakingServer", tmp_path: Path
) -> None:
    tiny.breaks = [200_000]
    shown = console()
    prepare(data(tmp_path), shown)
    assert len(tiny.requests) == 2
    assert len(list((tmp_path / "packed").glob("*.safetensors"))) == 3
    assert sorted(path.name for path in (tmp_path / "datasets/sets/T91").iterdir()) == [
        "t0.png",
        "t1.png",
        "t2.png",
    ]
    assert not (tmp_path / "downloads" / "set.zip").exists()
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "train       3 images" in text
    assert "nobody publishes its checksum" in text
    assert "set5        optional, data set set5 (test) is not here" in text


def test_what_is_here_is_not_downloaded_again(tiny: "BreakingServer", tmp_path: Path) -> None:
    prepare(data(tmp_path), console())
    tiny.requests = []
    prepare(data(tmp_path), console())
    assert tiny.requests == []


def test_archives_are_kept_when_asked_for(tiny: "BreakingServer", tmp_path: Path) -> None:
    prepare(data(tmp_path), console(), keep_archives=True)
    assert (tmp_path / "downloads" / "set.zip").read_bytes() == tiny.content


def test_an_optional_set_of_others_is_left_alone(tiny: "BreakingServer", tmp_path: Path) -> None:
    prepare(data(tmp_path, train=["photos:train"], test=["t91?"]), console())
    assert tiny.requests == []


def test_a_set_that_is_elsewhere_is_not_downloaded(
    tiny: "BreakingServer", tmp_path: Path, photo: Image.Image
) -> None:
    folder = tmp_path / "mine" / "train" / "T91"
    folder.mkdir(parents=True)
    for index in range(3):
        photo.save(folder / f"{index}.png")
    prepare(data(tmp_path / "cache", data_dir=tmp_path / "mine"), console())
    assert tiny.requests == []


def test_the_command_packs_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "with 'odd' name"
    main(["data=photos", "scale=4", f"cache_dir={cache}", f"data_dir={tmp_path}"])
    assert len(list((cache / "packed").glob("*-x4.safetensors"))) == 3
    # Ten photos, the six in colour drawn three times as often.
    assert "train       22 images" in capsys.readouterr().out


def test_a_set_behind_a_form_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fill in the form"):
        main(["data=manga109", f"cache_dir={tmp_path}", f"data_dir={tmp_path}"])


def test_a_folder_has_to_be_named(tmp_path: Path, photo: Image.Image) -> None:
    with pytest.raises(UserError, match=r"add root=\.\.\."):
        main(["data=folder", f"cache_dir={tmp_path}"])
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a", "b"):
        photo.save(folder / f"{name}.png")
    main(["data=folder", f"root={folder}", f"cache_dir={tmp_path}", f"data_dir={tmp_path}"])
    assert list((tmp_path / "packed").glob("*-x3.safetensors"))


@pytest.fixture
def faces(tmp_path: Path, photo: Image.Image) -> Path:
    """20 pictures in Kaggle's layout, every other one with glasses."""
    root = tmp_path / "glasses-or-no-glasses"
    (root / "faces-spring-2020").mkdir(parents=True)
    for index in range(1, 21):
        photo.save(root / "faces-spring-2020" / f"face-{index}.png")
    rows = [f"{index},0.5,{index % 2}" for index in range(1, 21)]
    (root / "train.csv").write_text("\n".join(["id,v1,glasses", *rows]) + "\n")
    return root


def test_faces_are_packed_at_every_size_that_is_asked_for(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"data_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}"]
    main(["data=glasses", "size=[8,16]", "shard=15", *places])
    packed = sorted(path.name[24:] for path in (tmp_path / "cache/packed").glob("*.safetensors"))
    assert packed == ["-16px.safetensors"] * 2 + ["-8px.safetensors"] * 2  # two shards each
    printed = capsys.readouterr().out
    assert "8x8         16 train, 2 val, 2 test; 0.01 MB in shards of 15" in printed
    assert "16x16 " in printed


def test_faces_that_are_not_there_are_answered_with_the_layout_and_kaggles_page(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError) as told:
        main(["data=glasses", f"data_dir={tmp_path}", f"cache_dir={tmp_path}"])
    root = tmp_path / "glasses-or-no-glasses"
    for text in (
        f"{root}/train.csv  (columns id, glasses; glasses: 0 no glasses, 1 glasses)",
        f"{root}/faces-spring-2020/face-{{id}}.png",
        '"Glasses or No Glasses" by Jeff Heaton',
        "kaggle.com/datasets/jeffheaton/glasses-or-no-glasses",
    ):
        assert text in str(told.value)


def test_all_broken_faces_are_named_at_once(faces: Path, tmp_path: Path) -> None:
    for index in (3, 12, 17):
        path = faces / "faces-spring-2020" / f"face-{index}.png"
        path.write_bytes(path.read_bytes()[:3000])  # the header is whole
    with pytest.raises(UserError, match=r"(?s)3 pictures.*face-3\.png.*face-12\.png.*face-17\.png"):
        main(["data=glasses", f"data_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}"])
    assert not list((tmp_path / "cache" / "packed").glob("*.safetensors"))


def test_sizes_are_for_faces_only(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="size= is for a classifier's pictures"):
        main(["data=photos", "size=32", f"cache_dir={tmp_path}"])
    with pytest.raises(UserError, match="size=x is not a whole number"):
        main(["data=glasses", "size=x", f"cache_dir={tmp_path}"])
