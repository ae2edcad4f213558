"""Which run stands for a row, and what is said of the others."""

from pathlib import Path
from typing import Any

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.tables.trained import find_runs, notes_on, pick

ENTRY = Entry("abpn", "", {"_target_": "sr_experiments.models.ABPN", "scale": 3, "channels": 28})


def make(folder: Path, name: str, status: str = "finished", **options: Any) -> Path:
    """A run's folder with its summary and configuration."""
    run = RunFolder(folder / name)
    run.path.mkdir(parents=True)
    run.write_config(
        {
            "model": {**ENTRY.config, **options},
            "data": {"train": ["photos:train", "photos:colour", "t91"]},
            "quantization": {"_target_": "sr_experiments.quantization.modes.PostTraining"},
        }
    )
    scale = options.get("scale", 3)
    train = {"steps": 5000}
    run.write_summary({"status": status, "model": "abpn", "scale": scale, "train": train})
    return run.path


def test_a_sweeps_folder_gives_all_of_its_runs_and_says_which_are_not_finished(
    tmp_path: Path,
) -> None:
    first, second = make(tmp_path, "a"), make(tmp_path, "b")
    third = make(tmp_path, "c", "running")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "summary.json").write_text("{half")
    runs, unfinished = find_runs([str(tmp_path)])
    assert [run.path for run in runs] == [first, second]
    assert unfinished == {str(third): "running", str(tmp_path / "d"): "damaged"}


def test_the_last_run_with_the_networks_own_options_stands_for_it(tmp_path: Path) -> None:
    make(tmp_path, "a")
    own = make(tmp_path, "b")
    make(tmp_path, "c", channels=20)
    make(tmp_path, "d", scale=2)
    runs, _ = find_runs([str(tmp_path)])
    found = pick(runs, ENTRY, 3)
    assert found is not None
    assert found.path == own
    assert found.changed(ENTRY) == []
    only_changed = [run for run in runs if run.path != own and run.changed(ENTRY)]
    found = pick(only_changed, ENTRY, 3)
    assert found is not None
    assert found.changed(ENTRY) == ["model.channels=20"]
    assert pick(runs, Entry("xlsr", "", {}), 3) is None


def test_notes_say_how_runs_were_trained_and_which_were_of_no_use(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make(tmp_path, name)
    runs, _ = find_runs([str(tmp_path)])
    notes = list(notes_on(runs, runs[:1], {"there": "failed"}))
    assert notes == [
        "Ours: 1 run, 5,000 steps on photos, t91, quantization PostTraining.",
        "Given, but in no row: abpn x3.",
        "Left out, failed: there.",
    ]


def test_what_a_stage_changes_is_named_too(tmp_path: Path) -> None:
    run = RunFolder(make(tmp_path, "a"))
    grid = {"quantization": {"_target_": "sr_experiments.quantization.QuantizationAware"}}
    stages = [{"name": "fp32", "resolved": {}}, {"name": "grid", "resolved": grid}]
    more = {"name": "more", "resolved": {"data": {"train": ["bsds200"]}}}
    summary = run.summary()
    run.write_config({**run.config(), "stages": [*stages, more]})
    run.write_summary(summary)
    runs, _ = find_runs([str(tmp_path)])
    assert runs[0].recipe == (
        "5,000 steps on photos, t91, bsds200, quantization PostTraining and QuantizationAware"
    )


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in it"):
        find_runs([str(tmp_path)])
    with pytest.raises(UserError, match="there is no such folder"):
        find_runs([str(tmp_path / "nowhere")])
