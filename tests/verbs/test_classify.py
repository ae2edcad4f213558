"""The verb on a network whose answer is worked by hand: how bright a picture is."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.classify import main
from sr_experiments.deploy.classifying import escaped
from sr_experiments.errors import UserError
from sr_experiments.models import GlassesCNN, save_model

OPTIONS = {
    "_target_": "sr_experiments.models.GlassesCNN",
    "classes": ["dark", "bright"],
    "size": 8,
    "num_blocks": 1,
    "channels": 1,
    "kernel": 1,
    "pooling": "average",
    "batch_norm": False,
    "dense": 0,
    "dropout": 0.0,
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Logit: 8 times the mean of all colours, less 4."""
    network = GlassesCNN(**{key: value for key, value in OPTIONS.items() if key != "_target_"})
    with torch.no_grad():
        network.blocks[0].conv.weight.fill_(1 / 3)  # type: ignore[union-attr,operator]
        network.head[-1].weight.fill_(8 / 16)
        network.head[-1].bias.fill_(-4)
    save_model(network, OPTIONS, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A black, a white, two grey pictures, one of them below, and one that is broken."""
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    for name, level in (("a,b.png", 0), ("white.jpg", 255), ("below/grey.png", 128)):
        Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(root / name)
    Image.fromarray(np.full((8, 12), 130, np.uint8)).save(root / "line\nbreak.png")
    (root / "broken.png").write_bytes(b"not a picture")
    (root / "notes.txt").write_text("no picture either")
    os.mkfifo(root / "pipe.png")  # reading it would wait for a writer
    (root / "folder.png").mkdir()
    return root


Classify = Callable[..., list[dict[str, str]]]


@pytest.fixture
def classify(weights: Path, folder: Path, tmp_path: Path) -> Classify:
    def run(*words: str) -> list[dict[str, str]]:
        output = tmp_path / "out" / "said.csv"
        given = [f"file={weights}", f"input={folder}", f"output={output}", "threads=1", *words]
        with pytest.raises(SystemExit) as stop:  # because of the broken one
            main(given)
        assert stop.value.code == 1
        with output.open(newline="") as lines:
            return list(csv.DictReader(lines))

    return run


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_every_picture_has_a_line_whatever_the_batch(classify: Classify, batch_size: int) -> None:
    rows = {row["file"]: row for row in classify(f"batch_size={batch_size}")}
    assert {name: row["said"] for name, row in rows.items()} == {
        "a,b.png": "dark",
        "white.jpg": "bright",
        "below/grey.png": "unsure",
        r"line\nbreak.png": "unsure",
        "broken.png": "unreadable",
    }
    assert float(rows["a,b.png"]["probability"]) == pytest.approx(1 / (1 + np.exp(4)), abs=1e-6)
    grey = 1 / (1 + np.exp(4 - 8 * 128 / 255))
    assert float(rows["below/grey.png"]["probability"]) == pytest.approx(grey, abs=1e-6)
    assert rows["broken.png"]["probability"] == ""
    assert "broken.png" in rows["broken.png"]["error"]


def test_unsure_pictures_can_be_listed(classify: Classify, folder: Path, tmp_path: Path) -> None:
    classify("unsure=list")
    listed = (tmp_path / "out" / "said.csv.unsure.txt").read_text().splitlines()
    assert listed == [escaped(str(folder / "line\nbreak.png")), str(folder / "below" / "grey.png")]


def test_unsure_pictures_can_be_moved_and_replace_none(
    classify: Classify, folder: Path, tmp_path: Path
) -> None:
    aside = folder / "unsure"  # inside the input: it is not looked into
    (aside / "below").mkdir(parents=True)
    (aside / "below" / "grey.png").write_bytes(b"was there before")
    rows = classify("unsure=move", f"unsure_folder={aside}")
    assert len(rows) == 5
    assert (aside / "below" / "grey.png").read_bytes() == b"was there before"
    with Image.open(aside / "below" / "grey_2.png") as moved:
        assert moved.size == (16, 16)
    assert (aside / "line\nbreak.png").is_file()
    assert not (folder / "below" / "grey.png").exists()
    assert (folder / "white.jpg").is_file()
    assert not list((tmp_path / "out").glob(".*"))


def test_the_band_may_be_moved(classify: Classify) -> None:
    rows = {row["file"]: row["said"] for row in classify("low=0.01", "high=0.99")}
    assert rows["a,b.png"] == rows["white.jpg"] == "unsure"


def test_names_are_escaped_so_that_they_can_be_told_apart() -> None:
    names = ["a\nb", r"a\nb", os.fsdecode(b"a\xffb"), "ä b"]
    assert [escaped(name) for name in names] == [r"a\nb", r"a\\nb", r"a\xffb", "ä b"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["input=nowhere"], "input=nowhere"),
        (["output=said.txt"], r"ends in \.csv"),
        (["unsure=drop"], "use keep, list, move"),
        (["unsure=move"], "unsure_folder"),
        (["unsure_folder=x"], "unsure=move"),
        (["low=0.7"], "low=0.7"),
        (["batch_size=0"], "batch_size=0"),
        (["device=tpu"], "device=tpu"),
        (["run=nowhere"], "run= or file="),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    words: list[str], told: str, weights: Path, folder: Path, tmp_path: Path
) -> None:
    keys = {word.partition("=")[0] for word in words}
    base = {"file": str(weights), "input": str(folder), "output": str(tmp_path / "x" / "said.csv")}
    given = [f"{key}={value}" for key, value in base.items() if key not in keys]
    with pytest.raises(UserError, match=told):
        main([*given, *words])
    assert not (tmp_path / "x").exists()


def test_an_enlarging_network_is_refused(tmp_path: Path, folder: Path) -> None:
    from sr_experiments.models import ESPCN

    config = {"_target_": "sr_experiments.models.ESPCN", "scale": 2}
    save_model(ESPCN(scale=2), config, tmp_path / "sr.safetensors")
    words = [f"file={tmp_path / 'sr.safetensors'}", f"input={folder}", f"output={tmp_path}/a.csv"]
    with pytest.raises(UserError, match="is no classifier but ESPCN"):
        main(words)


def test_a_folder_without_pictures_is_told(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no picture in it"):
        main([f"file={weights}", f"input={tmp_path / 'empty'}", f"output={tmp_path}/a.csv"])
    assert not (tmp_path / "a.csv").exists()
