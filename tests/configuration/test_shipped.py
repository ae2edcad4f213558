"""The networks that the package brings: whole, as good as their cards say, and easy to name."""

import hashlib
from pathlib import Path

import pytest

from sr_experiments.configuration.options import SourceOptions
from sr_experiments.configuration.shipped import FOLDER, Entry, entries, shipped
from sr_experiments.configuration.trained import find
from sr_experiments.errors import UserError
from sr_experiments.reporting.card_pages import BEGIN, END, overview, page
from sr_experiments.reporting.cards import SETS, measure

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = entries()
NAMES = [entry.name for entry in ENTRIES]


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_files_are_those_that_the_card_describes(entry: Entry) -> None:
    for key, file in (("fp32", entry.weights), ("int8", entry.int8)):
        content = file.read_bytes()
        assert entry.card["files"][key]["bytes"] == len(content)
        assert entry.card["files"][key]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (entry.card["model"], entry.card["scale"]) == (entry.model, entry.scale)
    words = entry.card["command"].split()
    assert [word for word in words if word.rpartition("=")[2].startswith("/")] == []


def test_every_file_of_the_folder_belongs_to_an_entry() -> None:
    known = {file for entry in ENTRIES for file in (entry.weights, entry.int8, entry.card_file)}
    assert set(FOLDER.iterdir()) == known | {FOLDER / "README.md"}


def _check_scores(entry: Entry, sets: tuple[str, ...], data_dir: Path, cache: Path) -> None:
    places = {"data_dir": str(data_dir), "cache_dir": str(cache)}
    measured = measure(entry.weights, entry.int8, entry.scale, places, sets)
    for name in sets:
        for key, there in entry.card["scores"][name].items():
            here = measured[name][key]
            assert here["psnr_y"] == pytest.approx(there["psnr_y"], abs=0.002), (name, key)
            assert here["ssim_y"] == pytest.approx(there["ssim_y"], abs=5e-5), (name, key)


def test_the_default_network_scores_what_its_card_says(data_dir: Path, tmp_path: Path) -> None:
    _check_scores(shipped("xlsr"), ("set5",), data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_cards_are_measured_again(entry: Entry, data_dir: Path, tmp_path: Path) -> None:
    _check_scores(entry, SETS, data_dir, tmp_path)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_int8_costs_little_and_the_network_is_above_bicubic(entry: Entry) -> None:
    card = entry.card
    for rows in card["scores"].values():
        psnr = {key: scores["psnr_y"] for key, scores in rows.items()}
        assert card["gan"] or psnr["bicubic"] + 0.5 < psnr["int8"]
        assert psnr["fp32"] - psnr["int8"] < 1.0


def test_pages_are_those_that_the_cards_give() -> None:
    cards = [entry.card for entry in ENTRIES]
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page(cards)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.partition(BEGIN)[2].partition(END)[0].strip() == overview(cards)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SourceOptions(pretrained="vdsr"), r"pretrained=vdsr: the package brings .*xlsr"),
        (SourceOptions(pretrained="xlsr", scale=7), r"does not bring it at x7; use scale=.*3"),
        (SourceOptions(pretrained="xlsr", run="a"), "not run and pretrained together"),
        (SourceOptions(model="xlsr"), "use the package's own with pretrained=xlsr"),
    ],
)
def test_what_is_not_brought_is_refused(options: SourceOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(options).open()


def test_a_name_opens_the_int8_file_and_the_weights() -> None:
    trained = find(SourceOptions(pretrained="xlsr"), threads=1)
    assert trained.label == "xlsr_x3"
    assert trained.available()[0] == "int8"
    assert "int8" in trained.open().name
    assert trained.open("torch").scale == 3
    assert not trained.network().fresh
