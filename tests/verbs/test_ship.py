"""A run becomes an entry only if it is finished, honest and better."""

import json
import shutil
from pathlib import Path

import pytest

from sr_experiments.configuration.shipped import Entry, shipped
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.ship import Options, agrees, main, ship


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    """A run folder whose files are those of a shipped network."""
    entry = shipped("espcn", 3)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    shutil.copy(entry.weights, folder.path / "model.safetensors")
    shutil.copy(entry.int8, folder.path / "model_int8.tflite")
    folder.write_config({"seed": 5, "init_from": None, "data": {"train": ["t91", "bsds200"]}})
    words = ["- model=espcn", "- seed=5", "- paths.output_dir=/somewhere", "- +sweeps=zoo"]
    (folder.path / "overrides.yaml").write_text("\n".join(words))
    told = {"versions": {"torch": "2.15", "ai-edge-litert": "2.3"}, "cpu": {"model": "CPU"}}
    (folder.path / "environment.json").write_text(json.dumps(told))
    test = entry.card["scores"]
    train = {"steps": 1000, "seconds": 60.0}
    summary = {"status": "finished", "model": "espcn", "scale": 3, "test": test, "train": train}
    folder.write_summary(summary)
    return folder


@pytest.fixture
def options(data_dir: Path, cache_dir: Path) -> Options:
    return Options(data_dir=str(data_dir), cache_dir=str(cache_dir))


def test_an_entry_has_the_runs_files_scores_and_command(
    finished: RunFolder, options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = ship(options, finished.path, tmp_path / "weights")
    assert entry.int8.read_bytes() == (finished.path / "model_int8.tflite").read_bytes()
    assert entry.weights.read_bytes() == (finished.path / "model.safetensors").read_bytes()
    card = entry.card
    assert card["command"] == "python -m sr_experiments sweep=zoo model=espcn seed=5"
    assert (card["seed"], card["steps"], card["data"]) == (5, 1000, ["t91", "bsds200"])
    assert card["scores"] == shipped("espcn", 3).card["scores"]
    assert "(t91, bsds200) were published for research" in card["licence"]
    text = (tmp_path / "weights" / "README.md").read_text()
    assert "## espcn_x3" in text

    # A worse one does not take its place by mistake.
    worse = json.loads(entry.card_file.read_text())
    worse["scores"]["set5"]["int8"]["psnr_y"] += 0.5
    entry.card_file.write_text(json.dumps(worse))
    with pytest.raises(UserError, match="add overwrite=true to replace it"):
        ship(options, finished.path, tmp_path / "weights")
    capsys.readouterr()
    assert agrees(options, finished.path)
    assert "agrees: espcn_x3 again, bit for bit" in capsys.readouterr().out


def test_what_a_run_started_from_counts_as_training(
    finished: RunFolder, options: Options, tmp_path: Path
) -> None:
    before = RunFolder(tmp_path / "runs" / "model=espcn")
    before.path.mkdir(parents=True)
    summary = finished.summary()

    def started_from(path: Path) -> None:
        finished.write_config({"seed": 5, "init_from": str(path), "data": {"train": ["bsds200"]}})
        finished.write_summary(summary)

    (before.path / "stages").mkdir()
    stage = shutil.copy(shipped("xlsr", 3).weights, before.path / "stages" / "1-fp32.safetensors")
    both = ["t91", "bsds200"]
    of_entry = shipped("espcn", 3).card["data"]
    entry = shipped("espcn", 3).weights
    for start, sets in ((before.path, both), (stage, both), (entry, of_entry)):
        before.write_config({"init_from": None, "data": {"train": ["t91"]}})
        started_from(start)
        words = ["- model=espcn", f"- 'init_from=\"{start}\"'"]
        (finished.path / "overrides.yaml").write_text("\n".join(words))
        card = ship(options, finished.path, tmp_path / f"weights_{start.name}").card
        assert card["data"] == sets
        within = "runs/model=espcn/stages" if start == stage else start.parent.name
        assert card["command"].endswith(f"outputs/{within}/{start.name}")

    before.write_config({"init_from": None, "data": {"train": ["set5"]}})
    started_from(before.path)
    with pytest.raises(UserError, match="has trained on set5"):
        ship(options, finished.path, tmp_path / "tested")
    (tmp_path / "stranger.safetensors").write_bytes(b"weights of unknown origin")
    started_from(tmp_path / "stranger.safetensors")
    with pytest.raises(UserError, match="nobody knows what that was trained on"):
        ship(options, finished.path, tmp_path / "unknown")


def test_files_that_are_not_the_runs_are_refused(
    finished: RunFolder, options: Options, tmp_path: Path
) -> None:
    shutil.copy(shipped("fsrcnn", 3).int8, finished.path / "model_int8.tflite")
    with pytest.raises(UserError, match="they do not belong together"):
        ship(options, finished.path, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_training_on_test_pictures_is_refused(
    finished: RunFolder, options: Options, tmp_path: Path
) -> None:
    finished.write_config({"seed": 5, "data": {"train": ["t91", "set14"]}})
    summary = {"status": "finished", "test": shipped("espcn", 3).card["scores"]}
    finished.write_summary(summary)
    with pytest.raises(UserError, match="has trained on set14"):
        ship(options, finished.path, tmp_path / "weights")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name one of run=, again= or compare="),
        (["run=a", "compare=b"], "name one of run=, again= or compare="),
        (["run=a", "scale=3"], "scale= is of again="),
        (["run=nowhere"], "run=nowhere is no run folder: finish it"),
        (["again=vdsr"], "again=vdsr: the package brings"),
    ],
)
def test_what_cannot_be_shipped_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(words)


@pytest.mark.slow
def test_an_entry_trained_again_from_its_seed_agrees(data_dir: Path, tmp_path: Path) -> None:
    places = [f"data_dir={data_dir}", f"cache_dir={tmp_path}/cache"]
    main(["again=espcn", "scale=3", f"output={tmp_path}/again", *places])


def test_an_entry_knows_its_files() -> None:
    entry = Entry("xlsr", 2, Path("there"))
    assert entry.weights == Path("there/xlsr_x2.safetensors")
    assert entry.int8 == Path("there/xlsr_x2_int8.tflite")
