"""Each option of a data set changes its batches, the pictures that measure, or where they lie."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from alternatives import Only, Options, Table, check_every_option, digest, names, options_of, to
from hydra.utils import instantiate
from PIL import Image
from skimage import data

from sr_experiments.data import Cifar10Data, LabelledData, PhotoCrops, SRData
from sr_experiments.data.cifar10_store import CLASSES
from sr_experiments.errors import UserError

PLACE = Only("where packed files go; the test below looks for them")
DEGRADED = {"share": 1.0}
SEEN: dict[str, str] = {}  # of the files that differ in nothing but their sets


def crops(folder: Path, count: int, first: int) -> Path:
    """Places of a cat, 48 pixels wide, as PNG files; the last of fourteen has 32."""
    folder.mkdir(parents=True)
    for index in range(count):
        y, x = (37 * (first + index)) % 250, (53 * (first + index)) % 400
        side = 32 if index == 13 else 48
        Image.fromarray(data.chelsea()[y : y + side, x : x + side]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two data folders that have other pictures in their Set5 and Set14, and a cache."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second", "cache")]
    for place, folder in enumerate(folders[:2]):
        crops(folder / "Set5", 5, 40 * place)
        crops(folder / "Set14", 14, 40 * place + 5)
    return folders


def photos(options: Options) -> str:
    made: SRData = instantiate(options)
    made.setup()
    tests = [(name, list(pairs)) for name, pairs in made.test_sets().items()]
    shown = [made.steps_per_epoch, list(made.val_pairs()), tests]
    if isinstance(made, PhotoCrops):
        return digest(shown, made.pictures(), made.batch(torch.arange(made.batch_size), 0))
    return digest(shown, made.train_batch(0))


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders of pictures with labels, one of which has a second table and other pictures."""
    random = np.random.default_rng(0)
    roots = [tmp_path_factory.mktemp(name) for name in ("faces", "other_faces")]
    for place, root in enumerate(roots):
        (root / "large").mkdir()
        rows = ["file,glasses,beard"]
        for index in range(24):
            for folder in (root, root / "large"):
                pixels = random.integers(256, size=(8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
            rows.append(f"{index}.png,{index % 2},{index // 6 % 2}")
        (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (root / "short.csv").write_text("\n".join(rows[: -2 - place]) + "\n", encoding="utf-8")
    return roots


def labelled(options: Options) -> str:
    made: LabelledData = instantiate(options)
    try:
        made.setup()
    except UserError as error:
        assert not Path(options["root"]).exists()
        return str(error)
    parts = [made.part(name) for name in ("train", "val", "test")]
    assert made._store is not None
    files = [len(shard) for shard in made._store.shards]
    batches = [made.train_batch(index) for index in range(2)]
    held = [(part.names, part.labels) for part in parts]
    return digest(made.classes, made.steps_per_epoch, files, held, batches)


@pytest.fixture(scope="session")
def zips(cifar10_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two data folders with CIFAR-10; in the second one every class has another's pictures."""
    folders = [tmp_path_factory.mktemp(name) for name in ("as_it_is", "mixed_up")]
    for turn, folder in enumerate(folders):
        (folder / "cifar10").mkdir()
        with (
            zipfile.ZipFile(cifar10_zip) as given,
            zipfile.ZipFile(folder / "cifar10" / "cifar10_jpg.zip", "w") as made,
        ):
            for name in given.namelist():
                part, label, file = name.split("/")
                other = CLASSES[(CLASSES.index(label) + turn) % len(CLASSES)]
                made.writestr(f"{part}/{other}/{file}", given.read(name))
    return folders


def cifar10(options: Options) -> str:
    made: Cifar10Data = instantiate(options)
    made.setup()
    scored = [made.val_batch(index) for index in range(made.val_steps())]
    some = made.batch(torch.arange(min(8, made.batch_size)), 3)
    shown = made.pictures(), made.labels(), some, scored, list(made.test_batches())
    return digest(made.steps_per_epoch, *shown)


@pytest.mark.parametrize("name", names("data"))
def test_every_option_of_a_data_set_changes_its_pictures(
    name: str, sets: list[Path], faces: list[Path], zips: list[Path], tmp_path: Path
) -> None:
    cache = str(sets[2])
    common = {"cache_dir": cache, "seed": 1, "scale": 2}
    kind = options_of("data", name)["_target_"].rpartition(".")[2]
    observe: Callable[[Options], str]
    table: Table
    if kind in ("SRData", "PhotoCrops"):
        values = {
            "train": ["set5"], "val": ["set14"], "test": ["set14?"], "patch": 12, "batch_size": 3,
            "images": 9, "data_dir": str(sets[0]), "root": str(sets[0]),
        }  # fmt: skip
        table = {
            "train": to(["set14"]),
            "val": to(["set5"]),
            "test": to(["set5"]),
            "intensity": to([0.9]),
            "share": to(1.0),
            "blur": to([1.0, 1.2], given=DEGRADED),
            "noise": to([5.0, 6.0], given=DEGRADED),
            "jpeg": to([20, 30], given=DEGRADED),
            "data_dir": to(str(sets[1])),
            "root": to(str(sets[1]), given={"val": ["folder:val"]}),
            "small": to("mirror", given={"train": ["set14"], "patch": 18, "small": "leave_out"}),
            "cache_dir": PLACE,
        }
        observe = photos
    elif kind == "LabelledData":
        values = {
            "root": str(faces[0]), "table": "labels.csv", "files": ["{file}"], "label": "glasses",
            "size": 8, "batch_size": 6, "classes": ["no", "yes"], "source": None,
            "val_share": 0.2, "test_share": 0.2,
        }  # fmt: skip
        table = {
            "root": to(str(faces[1])),
            "table": to("short.csv"),
            "files": to(["large/{file}"]),
            "label": to("beard"),
            "classes": to(["without", "with"]),
            "steps_per_epoch": to(2),
            "folds": to(3),
            "fold": to(1, given={"folds": 3}),
            "shard": to(5),
            "source": to("a friend", given={"root": str(tmp_path / "nowhere")}),
            "cache_dir": PLACE,
        }
        observe = labelled
    else:
        assert kind == "Cifar10Data", "observe what it makes"
        values = {
            "images": 60, "val_images": 10, "test_images": 12, "batch_size": 20,
            "data_dir": str(zips[0]),
        }  # fmt: skip
        table = {
            "root": to(str(zips[1] / "cifar10")),
            "data_dir": to(str(zips[1])),
            "classes": Only("are CIFAR-10's, for networks that ask; any others are refused"),
            "mean": to([0.5, 0.5, 0.5]),
            "std": to([0.5, 0.5, 0.5]),
            "cache_dir": PLACE,
        }
        observe = cifar10
    options = options_of("data", name, **common, **values)
    check_every_option(f"data/{name}", options, table, observe, SEEN)


@pytest.mark.parametrize("name", ["folder", "photo_crops", "gan_faces", "cifar10"])
def test_packed_files_go_where_the_cache_is(
    name: str, sets: list[Path], faces: list[Path], zips: list[Path], tmp_path: Path
) -> None:
    roots = {"gan_faces": str(faces[0]), "cifar10": str(zips[0] / "cifar10")}
    options = options_of(
        "data", name, cache_dir=str(tmp_path), seed=1, scale=2, batch_size=3, patch=12, images=9,
        train=["set5"], val=["set14"], test=[], data_dir=str(sets[0]), root=roots.get(name),
        files=["{file}"],
    )  # fmt: skip
    instantiate(options).setup()
    assert list((tmp_path / "packed").glob("*.safetensors"))
