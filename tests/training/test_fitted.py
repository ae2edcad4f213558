"""A network that is fitted runs, is checked and is scored as others are."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import coffee

from sr_experiments import evaluate, train, upscale
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.models import load_model
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.preflight import preflight

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")

SMALL = [
    "model=aplus",
    "model.atoms=16",
    "model.neighbours=256",
    "model.patches=20000",
    "model.dictionary_patches=500",
    "data.train=[photos:test]",  # one photo, and another to measure on
    "data.test=[photos:val]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
MakeJob = Callable[..., train.Job]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def job(cache: Path) -> MakeJob:
    def make(folder: Path, *words: str) -> train.Job:
        typed = {word.partition("=")[0] for word in words}
        kept = [word for word in SMALL if word.partition("=")[0] not in typed]
        paths = [f"paths.output_dir={folder}", f"paths.cache_dir={cache}"]
        overrides = [*kept, *paths, *words]
        return train.Job(*check_with_choices(overrides), overrides)

    return make


@pytest.fixture(scope="module")
def run(job: MakeJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    train.run(job(folder))
    (path,) = (folder / "aplus-x3").iterdir()
    return path


def test_the_run_ends_with_a_folder_like_any_other(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["model"], summary["scale"]) == ("finished", "aplus", 3)
    assert summary["params"] == summary["params_training"] == 30 * (324 + 16 + 16 * 81)
    scores = summary["test"]["photos"]
    assert scores["fp32"]["psnr_y"] > scores["bicubic"]["psnr_y"] + 0.3
    assert (run / "images" / "photos_chelsea.png").is_file()
    (row,) = RunFolder(run).metrics()
    assert summary["stages"][0]["val/psnr"] == float(row["val/psnr"]) > 30
    assert summary["train"]["steps"] == 1


def test_it_makes_no_file_that_the_targets_cannot_run(run: Path) -> None:
    assert not list(run.glob("*.tflite"))
    summary = json.loads((run / "summary.json").read_text())
    for key in ("tflite_bytes", "latency_ms", "int8_drop", "macs"):
        assert summary[key] is None


def test_the_summary_tells_nothing_of_parts_that_played_none(run: Path) -> None:
    (stage,) = json.loads((run / "summary.json").read_text())["stages"]
    assert stage["data"] == "photos"
    assert not {"loss", "optimizer", "scheduler", "quantization", "lr", "patch"} & set(stage)


def test_the_run_can_be_scored_again(run: Path, cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.json"
    evaluate.main([f"run={run}", "data=photos:val", f"cache_dir={cache}", f"output={output}"])
    scored = json.loads(output.read_text())["sets"]["photos:val"]["fp32"]["mean"]
    summary = json.loads((run / "summary.json").read_text())
    assert scored == pytest.approx(summary["test"]["photos"]["fp32"])


def test_the_run_enlarges_pictures(run: Path, tmp_path: Path) -> None:
    Image.fromarray(coffee()[:50, :70]).save(tmp_path / "cup.png")
    upscale.main([f"run={run}", f"input={tmp_path / 'cup.png'}", f"output={tmp_path / 'big.png'}"])
    with Image.open(tmp_path / "big.png") as picture:
        assert picture.size == (210, 150)


def test_the_same_command_fits_the_same_values(run: Path, job: MakeJob, tmp_path: Path) -> None:
    train.run(job(tmp_path, "quantization=none"))
    (again,) = (tmp_path / "aplus-x3").iterdir()
    ours, theirs = (load_model(path / "model.safetensors") for path in (run, again))
    for name, value in ours.state_dict().items():
        assert torch.equal(theirs.state_dict()[name], value), name


def test_the_budget_shortens_the_fit(
    job: MakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(job(tmp_path, "budget=0.1"))
    told = capsys.readouterr().out
    assert "2,000 training patches from 1 photos" in told
    assert "gets no TFLite file" in told


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("loss=l1", "loss has no effect"),
        ("optimizer.lr=0.1", "optimizer has no effect"),
        ("scheduler=cosine", "scheduler has no effect"),
        ("task.ema_decay=0.9", "task has no effect"),
        ("stages=[{name: one, epochs: 1}]", "leave stages out"),
        ("quantization=qat", "cannot be quantised: its matrices"),
    ],
)
def test_what_a_fit_cannot_use_is_refused_before_it_starts(
    job: MakeJob, tmp_path: Path, word: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        preflight(job(tmp_path, word))
    assert not list(tmp_path.iterdir())


def test_an_unfitted_network_cannot_be_scored() -> None:
    with pytest.raises(UserError, match="untrained"):
        evaluate.main(["model=aplus", "data=photos:val"])
