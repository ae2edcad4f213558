"""A run of an earlier version, kept as files: everything that reads runs still reads it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from sr_experiments import report
from sr_experiments.__main__ import main
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.options import SourceOptions
from sr_experiments.configuration.stages import plan
from sr_experiments.configuration.trained import find
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import SCHEMA_VERSION, RunFolder
from sr_experiments.train import _open_folder
from sr_experiments.training.checkpoint import read_checkpoint
from sr_experiments.training.job import Job

OLD = sorted((Path(__file__).parents[1] / "old").glob("run_schema_*"))


@pytest.fixture(params=OLD, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "outputs" / "tiny" / "run"))


def test_there_is_one_of_every_schema() -> None:
    assert [path.name for path in OLD] == [f"run_schema_{n + 1}" for n in range(SCHEMA_VERSION)]


def test_its_weights_and_its_int8_file_still_make_the_same_picture(old: Path) -> None:
    trained = find(SourceOptions(run=str(old)), threads=1)
    low_res = torch.arange(8 * 8 * 3).remainder(256).view(1, 8, 8, 3).to(torch.uint8).numpy()
    fp32, int8 = (trained.open(kind).predict(low_res) for kind in ("torch", "int8"))
    assert fp32.shape == int8.shape == (1, 24, 24, 3)
    # Sums of the pictures on the day that the run was made.
    assert float(fp32.sum()) == pytest.approx(216_467.47, rel=1e-4)
    assert float(int8.sum()) == pytest.approx(216_566, rel=2e-3)


def test_its_page_is_made_again(old: Path) -> None:
    report.main([f"runs={old}"])
    page = (old / "report.html").read_text(encoding="utf-8")
    assert "1,259" in page
    assert "EMSRNet x3" in page


def test_its_training_goes_on_from_the_checkpoint(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"paths.output_dir={tmp_path}/outputs", f"paths.cache_dir={tmp_path}/cache"]
    typed = [line.removeprefix("- ") for line in (old / "overrides.yaml").read_text().splitlines()]
    words = [word for word in typed if not word.startswith("paths.")]
    words = [*words, "trainer.epochs=3", "data.test=[]", *places]
    folder = RunFolder(old)
    shutil.copy(folder.last_checkpoint, folder.best_checkpoint)
    (stage,) = plan(words)
    (old / "summary.json").unlink()
    folder.write_config(stage.resolved)  # options that are new since then have their defaults
    folder.write_summary({"status": "interrupted"})
    assert read_checkpoint(folder.last_checkpoint)["epoch"] == 1
    main(words)
    assert "going on from" in capsys.readouterr().out
    summary = json.loads((old / "summary.json").read_text())
    assert (summary["status"], summary["stages"][0]["epochs"]) == ("finished", 3)
    assert read_checkpoint(folder.last_checkpoint)["epoch"] == 2


def test_its_command_begins_a_new_run_and_says_why_where_options_have_come_since(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"paths.output_dir={tmp_path}/outputs", f"paths.cache_dir={tmp_path}/cache"]
    typed = [line.removeprefix("- ") for line in (old / "overrides.yaml").read_text().splitlines()]
    summary = json.loads((old / "summary.json").read_text()) | {"status": "interrupted"}
    (old / "summary.json").write_text(json.dumps(summary))  # as a kill would have left it
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    words = [*(word for word in typed if not word.startswith("paths.")), *places]
    folder = _open_folder(Job(*check_with_choices(words), words))
    folder.unlock()
    said = capsys.readouterr().out
    assert f"{old} is interrupted and was begun by this command when " in said
    assert f"a new run begins in {folder.path.name}; the version that began it can go on" in said
    assert " and 0 more" not in said
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert not folder.last_checkpoint.exists()

    summary["status"] = "finished"
    (old / "summary.json").write_text(json.dumps(summary))
    again = _open_folder(Job(*check_with_choices(words), words))
    again.unlock()
    assert capsys.readouterr().out == ""


def test_a_run_of_a_newer_version_says_what_to_update(old: Path) -> None:
    RunFolder(old).write_summary({"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(UserError, match=r"run is of a newer sr_experiments: .* update the package"):
        report.main([f"runs={old}"])
