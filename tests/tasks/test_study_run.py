"""Whole runs of the mini-batch study, resumed ones too."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sr_experiments import train
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.tasks import ClassifierStudy

pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")

WORDS = [
    "task=gradient_study",
    "task/metric=colour",
    "model.channels=4",
    "data.images=120",
    "data.val_images=10",
    "data.batch_size=20",
    "task.distances=both",
    "task.sketch_size=512",
    "trainer.epochs=3",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
CROPS = [
    "task=enlarger_study",
    "task/metric=edges",
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.images=40",
    "data.batch_size=8",
    "data.patch=11",
    "trainer.epochs=3",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]


class PowerCut(BaseException):
    """What no code catches."""


@pytest.fixture(autouse=True, scope="module")
def _keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def words_for(folder: Path, cache: Path, *words: str) -> list[str]:
    return [*words, f"paths.output_dir={folder}", f"paths.cache_dir={cache}"]


def job(folder: Path, cache: Path, *words: str) -> train.Job:
    overrides = words_for(folder, cache, *words)
    return train.Job(*check_with_choices(overrides), overrides)


def only_run(folder: Path) -> Path:
    ((run,),) = [list(path.iterdir()) for path in folder.iterdir()]
    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path, cifar10_zip: Path) -> Path:
    folder = tmp_path_factory.mktemp("study")
    train.run(job(folder, cache, *WORDS, f"data.root={cifar10_zip}"))
    return only_run(folder)


def test_a_run_leaves_its_matrix_in_two_forms(undisturbed: Path) -> None:
    tensors = load_file(undisturbed / "study" / "distances.safetensors")
    assert tensors["distances_exact"].shape == (3, 6)
    assert bool((tensors["distances_exact"] > 0).all())
    text = (undisturbed / "study" / "distances_exact.csv").read_text()
    rows = [[float(cell) for cell in row] for row in csv.reader(io.StringIO(text))]
    torch.testing.assert_close(torch.tensor(rows), tensors["distances_exact"].float())
    assert sorted(tensors["pictures"].flatten().tolist()) == list(range(120))


def test_a_run_says_what_it_found(undisturbed: Path) -> None:
    summary: dict[str, Any] = json.loads((undisturbed / "summary.json").read_text())
    study = summary["study"]
    assert summary["status"] == "finished"
    assert 0 <= summary["test"]["accuracy"] <= 1
    assert (study["batches"], study["batch_size"]) == (6, 20)
    assert [phase["epochs"] for phase in study["phases"]] == [[1, 1], [2, 2], [3, 3]]
    assert [finding["claim"][:7] for finding in study["findings"]] == [
        "phase 1",
        "phase 2",
        "phase 3",
    ]
    assert [phase["error"] < 0.2 for phase in study["sketch"]] == [True] * 3
    assert study["stored_bytes"] == {"exact": 6 * summary["params"] * 4, "sketch": 6 * 512 * 4}


def test_the_page_shows_heat_maps_findings_and_batches(undisturbed: Path) -> None:
    page = (undisturbed / "report.html").read_text()
    for text in ("mean colour (HSV)", "phase 2: batches of both ends", "Sketched against exact"):
        assert text in page
    # heat maps, profile, curves, and the best and the worst batch of each phase
    assert page.count("<img") == 3 + 6
    assert not re.search("https?:", page.replace("http://www.w3.org", ""))


@pytest.mark.parametrize(
    "place",
    [8, *(pytest.param(place, marks=pytest.mark.slow) for place in (3, 6, 17))],
)
def test_a_run_goes_on_to_the_same_matrix_wherever_it_was_cut_off(
    place: int,
    undisturbed: Path,
    cache: Path,
    cifar10_zip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = ClassifierStudy.training_step

    def deadly(task: ClassifierStudy, *args: Any) -> torch.Tensor:
        if task.iteration == place:
            raise PowerCut
        return step(task, *args)

    words = [*WORDS, f"data.root={cifar10_zip}"]
    with monkeypatch.context() as patch:
        patch.setattr(ClassifierStudy, "training_step", deadly)
        with pytest.raises(PowerCut):
            train.run(job(tmp_path, cache, *words))
    train.run(job(tmp_path, cache, *words))
    again = only_run(tmp_path)
    for name in ("study/distances.safetensors", "model.safetensors"):
        ours, theirs = load_file(again / name), load_file(undisturbed / name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert not (again / "gradients").exists()


@pytest.mark.slow
def test_kill_9_in_the_middle_of_an_epoch_changes_nothing(
    undisturbed: Path, cache: Path, cifar10_zip: Path, tmp_path: Path
) -> None:
    child = """
import os, signal, sys
from sr_experiments.tasks import ClassifierStudy
step = ClassifierStudy.training_step
def deadly(self, *args):
    if self.iteration == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *args)
ClassifierStudy.training_step = deadly
from sr_experiments.__main__ import main
main(sys.argv[1:])
"""
    words = words_for(tmp_path, cache, *WORDS, f"data.root={cifar10_zip}")
    for start, code in ((["-c", child], -signal.SIGKILL), (["-m", "sr_experiments"], 0)):
        done = subprocess.run([sys.executable, *start, *words], capture_output=True, check=False)
        assert done.returncode == code
    name = "study/distances.safetensors"
    ours, theirs = load_file(only_run(tmp_path) / name), load_file(undisturbed / name)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_policy_trains_without_a_twin(cache: Path, cifar10_zip: Path, tmp_path: Path) -> None:
    words = [word for word in WORDS if "distances" not in word]
    more = ["task.distances=none", "task/policy=recommended_pictures", f"data.root={cifar10_zip}"]
    summary = train.run(job(tmp_path, cache, *words, *more))
    assert "phases" not in summary["study"]
    assert (summary["status"], summary["train"]["steps"]) == ("finished", 18)
    assert not (only_run(tmp_path) / "study").exists()
    assert "Training" in (only_run(tmp_path) / "report.html").read_text()


def test_a_policy_asks_several_metrics(cache: Path, cifar10_zip: Path, tmp_path: Path) -> None:
    words = [word for word in WORDS if "distances" not in word]
    more = [
        "task.distances=none",
        "task/policy=drop_extremes",
        "task/metric@task.policy.also.perceptual.metric=shuffled",
        f"data.root={cifar10_zip}",
    ]
    assert train.run(job(tmp_path, cache, *words, *more))["status"] == "finished"
    from_every_end = ["task.policy.also.colour.keep=[[[0.0,0.1]]]"]
    with pytest.raises(UserError, match=r"keeps \d+ pictures in phase 1"):
        train.run(job(tmp_path, cache, *words, *more, *from_every_end))


def test_a_network_that_enlarges_is_studied_with_psnr(cache: Path, tmp_path: Path) -> None:
    summary = train.run(job(tmp_path, cache, *CROPS))
    assert 10 < summary["test"]["photos_psnr_y"] < 40
    tensors = load_file(only_run(tmp_path) / "study" / "distances.safetensors")
    assert tensors["distances_exact"].shape == (3, 5)
    rows = list(csv.DictReader((only_run(tmp_path) / "metrics.csv").read_text().splitlines()))
    assert all(float(row["val/psnr"]) > 5 for row in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=xlsr"], "model=xlsr is no classifier"),
        (["loss=l1"], "loss=l1 compares pictures"),
        (["data.batch_size=40"], "3 batches have no quarters"),
        (["task/metric=lpips", "task.metric.weights=no.pth"], "no.pth: there is no such file"),
        (["quantization=ptq"], "quantization=none"),
        (["budget=0.1"], r"task\.phases=3"),
    ],
)
def test_what_cannot_work_is_refused_before_there_is_a_folder(
    words: list[str], message: str, cache: Path, cifar10_zip: Path, tmp_path: Path
) -> None:
    keys = {word.partition("=")[0] for word in words}
    kept = [word for word in WORDS if word.partition("=")[0] not in keys]
    if "model" in keys:
        kept = [word for word in kept if not word.startswith("model.")]
    with pytest.raises(UserError, match=message):
        train.run(job(tmp_path, cache, *kept, *words, f"data.root={cifar10_zip}"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=photos"], "draws new crops, so no mini-batch stays: add data=photo_crops"),
        (["loss=cross_entropy"], "does not compare two pictures"),
        (["model=bicubic"], "model=bicubic is no network that is trained"),
    ],
)
def test_what_enlarges_nothing_is_refused(
    words: list[str], message: str, cache: Path, tmp_path: Path
) -> None:
    keys = {word.partition("=")[0] for word in words}
    kept = [
        word
        for word in CROPS
        if word.partition("=")[0] not in keys and word.partition(".")[0] not in keys
    ]
    with pytest.raises(UserError, match=message):
        train.run(job(tmp_path, cache, *kept, *words))
