"""``prepare`` from an address to packed images, with a server on this machine."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from rich.console import Console

from sr_experiments.data import SRData
from sr_experiments.data.known_pictures import pictures_digest
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
    sums = sorted(
        hashlib.sha256(b"(300, 451, 3)" + photo.rotate(index).tobytes()).hexdigest()
        for index in range(3)
    )
    pictures = hashlib.sha256("\n".join(sums).encode()).hexdigest()
    archive = Archive(server.url, None, ("sets/T91/",), pictures=pictures, note="only for tests")
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


def zipped(pictures: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in pictures.items():
            archive.writestr(f"sets/T91/{name}", content)
    return out.getvalue()


def encoded(photo: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    photo.save(out, form, lossless=True)
    return out.getvalue()


def test_the_same_pictures_in_other_files_are_taken(
    tiny: "BreakingServer", tmp_path: Path, photo: Image.Image
) -> None:
    files = {f"im_{index}.webp": encoded(photo.rotate(index), "WEBP") for index in range(3)}
    tiny.content = zipped({**files, "Thumbs.db": b"of another system"})
    prepare(data(tmp_path), console())
    assert len(list((tmp_path / "datasets/sets/T91").glob("*.webp"))) == 3


def level_changed(photo: Image.Image) -> Image.Image:
    """By one level, in one place."""
    changed = photo.copy()
    red, green, blue = photo.getpixel((7, 5))  # type: ignore[misc]
    changed.putpixel((7, 5), (red, green, blue ^ 1))
    return changed


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (lambda one: encoded(level_changed(one), "PNG"), "is wanted, not [0-9a-f]{64}\n"),
        (lambda one: encoded(one, "PNG")[:9000], r"is wanted, not .*t2\.png: cannot be read"),
        (lambda one: None, "is wanted, not [0-9a-f]{64}\n"),
    ],
    ids=["one level", "cut", "missing"],
)
def test_other_pictures_than_the_known_ones_are_refused(
    tamper: Callable[[Image.Image], bytes | None],
    told: str,
    tiny: "BreakingServer",
    tmp_path: Path,
    photo: Image.Image,
) -> None:
    honest = tiny.content
    files = {f"t{index}.png": encoded(photo.rotate(index), "PNG") for index in range(2)}
    last = tamper(photo.rotate(2))
    tiny.content = zipped(files if last is None else {**files, "t2.png": last})
    with pytest.raises(UserError, match=rf"(?s)set\.zip is refused: .*{told}.*paths\.data_dir"):
        prepare(data(tmp_path), console())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    tiny.content, tiny.tag = honest, '"second"'
    prepare(data(tmp_path), console())  # the same command goes on when the archive is mended


def test_every_archive_is_known_by_its_sum_or_by_its_pictures() -> None:
    splits = [split for source in SOURCES.values() for split in source.splits.values()]
    archives = [split.archive for split in splits if split.archive is not None]
    assert len(archives) > 8
    assert all((one.checksum or one.pictures) for one in archives)


@pytest.mark.parametrize(("name", "folder"), [("t91", "T91"), ("general100", "General100")])
def test_the_known_pictures_are_those_of_the_published_sets(
    name: str, folder: str, data_dir: Path
) -> None:
    if not (data_dir / "train" / folder).is_dir():
        pytest.skip(f"no train/{folder} in {data_dir}")
    archive = SOURCES[name].splits["train"].archive
    assert archive is not None
    assert pictures_digest(data_dir / "train" / folder) == archive.pictures


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
