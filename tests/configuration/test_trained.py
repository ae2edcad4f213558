"""Naming a network: what is refused, and that a stranger's run folder runs no code."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sr_experiments.configuration.options import SourceOptions
from sr_experiments.configuration.trained import find, open_checked
from sr_experiments.errors import UserError
from sr_experiments.models import XLSR, save_model
from sr_experiments.reporting.run_folder import RunFolder

CONFIG = {"_target_": "sr_experiments.models.XLSR", "scale": 3}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(XLSR(scale=3), CONFIG, tmp_path / "run" / "model.safetensors")
    return tmp_path / "run" / "model.safetensors"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SourceOptions(), "none is given"),
        (SourceOptions(run="a", file="b"), "not run and file together"),
        (SourceOptions(run="nowhere"), "run=nowhere: there is no such folder"),
        (SourceOptions(file="nowhere.tflite"), r"file=nowhere\.tflite: there is no such file"),
        (SourceOptions(model="xlrs"), "model=xlrs does not exist; did you mean xlsr"),
    ],
)
def test_what_names_no_network_is_refused(options: SourceOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(options)


def test_an_untrained_network_is_refused_with_the_command_that_trains_it() -> None:
    with pytest.raises(UserError, match="python -m sr_experiments model=xlsr"):
        find(SourceOptions(model="xlsr")).open()


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_summary({"status": "interrupted"})
    with pytest.raises(UserError, match=r"is interrupted and has no model\.safetensors yet"):
        find(SourceOptions(run=str(tmp_path)))


def test_the_folder_above_a_run_points_to_the_run(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"run={weights.parent}")):
        find(SourceOptions(run=str(tmp_path)))


def test_a_run_without_int8_file_opens_in_floating_point(weights: Path) -> None:
    trained = find(SourceOptions(run=str(weights.parent)))
    assert trained.available()[0] == "fp32"
    assert trained.open("torch").scale == 3
    with pytest.raises(UserError, match="has no INT8 file: write one with"):
        trained.open("int8")


def test_another_scale_than_the_networks_is_refused(weights: Path) -> None:
    options = SourceOptions(file=str(weights), scale=2)
    with pytest.raises(UserError, match=r"scale=2: model\.safetensors enlarges x3"):
        open_checked(options, find(options), "torch")


def test_a_finished_file_is_run_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"")
    with pytest.raises(UserError, match=r"runtime=torch is not for a \.tflite"):
        find(SourceOptions(file=str(tmp_path / "net.tflite")), runtime="torch")
    with pytest.raises(UserError, match="no TFLite file"):
        find(SourceOptions(file=str(tmp_path / "net.tflite"))).open()


def test_a_strangers_run_folder_cannot_make_us_run_its_code(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    shutil.copy(weights, folder)
    proof = tmp_path / "executed"
    call = {
        "_target_": "pathlib.Path.touch",
        "self": {"_target_": "pathlib.Path", "_args_": [str(proof)]},
    }
    RunFolder(folder).write_config({"model": call, "data": call, "task": call})
    (folder / "conftest.py").write_text(f"open({str(proof)!r}, 'w')")
    find(SourceOptions(run=str(folder))).open("torch")
    assert not proof.exists()

    save_file(
        {"x": torch.zeros(1)},
        folder / "model.safetensors",
        {"schema_version": "1", "scale": "3", "model": json.dumps(call)},
    )
    with pytest.raises(UserError, match=r"pathlib\.Path\.touch, which is not a network"):
        find(SourceOptions(run=str(folder))).open("torch")
    assert not proof.exists()
