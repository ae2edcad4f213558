"""Classifiers trained for seconds on drawn faces: some have a dark bar across them."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments import train
from sr_experiments.callbacks import EarlyStopping
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.models import load_classifier
from sr_experiments.tasks import ClassificationTask
from sr_experiments.training.preflight import preflight

TINY = [
    "task=classification",
    "data.table=labels.csv",
    "data.files=['{file}']",
    "data.size=16",
    "data.batch_size=16",
    "model.num_blocks=2",
    "model.channels=4",
    "model.dense=8",
    "model.dropout=0.1",
    "optimizer.lr=0.02",
    "trainer.epochs=4",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 noisy squares, every third with a bar; the label of the first bar is wrong."""
    root = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(1)
    rows = ["file,glasses"]
    for index in range(120):
        pixels = random.integers(120, 220, (16, 16, 3)).astype(np.uint8)
        if index % 3 == 0:
            pixels[6:9] //= 4
        Image.fromarray(pixels).save(root / f"{index}.png")
        rows.append(f"{index}.png,{int(index % 3 == 0 and index != 0)}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def job(faces: Path) -> Callable[..., train.Job]:
    def make(folder: Path, *words: str) -> train.Job:
        keys = {word.partition("=")[0] for word in words}
        overrides = [word for word in TINY if word.partition("=")[0] not in keys]
        if "model" in keys:
            overrides = [word for word in overrides if not word.startswith("model.")]
        overrides += [f"data.root={faces}", f"paths.cache_dir={faces / 'cache'}"]
        overrides += [f"paths.output_dir={folder}", *words]
        return train.Job(*check_with_choices(overrides), overrides)

    return make


def run_folder(folder: Path) -> Path:
    (found,) = (folder / "glasses_cnn").iterdir()
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, job: Callable[..., train.Job]) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    train.run(job(folder))
    return run_folder(folder)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def test_a_run_learns_and_its_folder_says_what_it_found(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["scale"] is None
    assert summary["pictures"] == {"train": 97, "val": 11, "test": 12}
    # 3*4*9+4, 4*8*9+8, batch norm 2*(4+8), 8*4*4*8+8, 8+1
    assert summary["params"] == summary["params_training"] == 112 + 296 + 24 + 1032 + 9
    assert summary["test"]["auroc"] > 0.9
    assert summary["train"]["steps"] == 4 * 6  # a 97th picture alone is no batch
    rows = table(finished / "metrics.csv")
    assert [row["iteration"] for row in rows] == ["6", "12", "18", "24"]
    assert all(0 < float(row["time/data"]) < float(row["time/epoch"]) for row in rows)
    assert float(rows[-1]["lr/network"]) == pytest.approx(0.02 * 0.96 ** (24 / 100), rel=1e-5)


def test_scores_of_the_summary_are_those_of_the_listed_predictions(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    rows = table(finished / "predictions.csv")
    assert len({row["file"] for row in rows}) == 120
    for part in ("train", "val", "test"):
        own = [row for row in rows if row["part"] == part]
        right = [(float(row["probability"]) >= 0.5) == (row["label"] == "glasses") for row in own]
        accuracy = summary["scores"][part]["accuracy"]
        assert accuracy == pytest.approx(sum(right) / len(right), abs=1e-6)
        unsure = [row["said"] == "unsure" for row in own]
        assert unsure == [0.4 <= float(row["probability"]) <= 0.6 for row in own]
    best = min(table(finished / "metrics.csv"), key=lambda r: float(r["val/loss"]))
    assert summary["scores"]["val"]["loss"] == pytest.approx(float(best["val/loss"]), rel=1e-4)


def test_the_shipped_network_predicts_what_is_listed(finished: Path, faces: Path) -> None:
    network = load_classifier(finished / "model.safetensors")
    rows = table(finished / "predictions.csv")[:20]
    pixels = np.stack([np.asarray(Image.open(faces / row["file"])) for row in rows])
    with torch.no_grad():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        probabilities = torch.sigmoid(network(images))[:, 0]
    listed = [float(row["probability"]) for row in rows]
    assert np.allclose(probabilities.numpy(), listed, atol=1e-5)


def test_the_page_shows_scores_curves_and_pictures(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    for text in ("balanced accuracy", "Test pictures", "feature_maps", "task=classification"):
        assert text in page
    assert not re.search("https?:", page.replace("http://www.w3.org", ""))
    for name in ("val_by_certainty", "test_by_certainty", "feature_maps"):
        with Image.open(finished / "images" / f"{name}.png") as picture:
            assert picture.width > 500


def interrupt(monkeypatch: pytest.MonkeyPatch, iteration: int) -> None:
    step = ClassificationTask.training_step

    def deadly(self: ClassificationTask, *arguments: Any) -> torch.Tensor:
        if self.iteration == iteration:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(ClassificationTask, "training_step", deadly)


def test_a_run_killed_in_the_middle_of_an_epoch_ends_as_the_undisturbed_one(
    finished: Path,
    job: Callable[..., train.Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 17)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.run(job(tmp_path))
    assert not (run_folder(tmp_path) / "model.safetensors").exists()
    train.run(job(tmp_path))
    assert digest(run_folder(tmp_path)) == digest(finished)


def test_training_stops_early_and_stays_stopped_when_it_is_killed_afterwards(
    job: Callable[..., train.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A learning rate of nothing: the first epoch stays the best, but for rounding.
    words = [
        "trainer.epochs=30",
        "optimizer.lr=1e-12",
        "callbacks.early_stopping.patience=2",
        "callbacks.early_stopping.min_delta=10",
    ]

    def die(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationTask, "finish", die)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.run(job(tmp_path, *words))
    rows = (run_folder(tmp_path) / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 3
    summary = train.run(job(tmp_path, *words))
    assert (run_folder(tmp_path) / "metrics.csv").read_text().splitlines() == rows
    assert summary["train"]["steps"] == 3 * 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model=xlsr"], "XLSR is no classifier"),
        (["loss=l1"], "L1 compares pictures"),
        (["loss=cross_entropy"], "model.outputs=2"),
        (["quantization=ptq"], "add quantization=none"),
        (["task.unsure=[0.6,0.4]"], "task.unsure"),
        (["task.best_by=val/psnr"], "val/loss, val/accuracy"),
        (["model.size=32"], "leave model.size"),
        (["data.val_share=0.001"], "too few"),
        (["callbacks.early_stopping.patience=0"], "patience=0 is below 1"),
        (["data.batch_size=0"], "data.batch_size=0"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(
    words: list[str], told: str, job: Callable[..., train.Job], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        preflight(job(tmp_path, *words))
    assert not list(tmp_path.iterdir())


def test_an_enlarging_task_refuses_a_classifier() -> None:
    overrides = ["model=glasses_cnn", "model.classes=[a,b]", "model.size=16"]
    with pytest.raises(UserError, match="task=classification"):
        preflight(train.Job(*check_with_choices(overrides), overrides))


def test_two_softmax_neurons_train_as_well(job: Callable[..., train.Job], tmp_path: Path) -> None:
    words = ["loss=cross_entropy", "model.outputs=2", "trainer.epochs=2", "data.mirror=true"]
    summary = train.run(job(tmp_path, *words))
    assert summary["test"]["auroc"] > 0.6
    assert load_classifier(run_folder(tmp_path) / "model.safetensors").outputs == 2


def test_early_stopping_counts_epochs_without_a_better_value() -> None:
    stopping = EarlyStopping("val/accuracy", patience=2, min_delta=0.01, higher_is_better=True)
    stopped = []
    for value in (0.5, 0.6, 0.605, 0.7, 0.65, 0.69):
        trainer = Trainer(value)
        stopping.on_validation_end(trainer, None)  # type: ignore[arg-type]
        stopped.append(trainer.should_stop)
    assert stopped == [False, False, False, False, False, True]
    with pytest.raises(UserError, match="monitor=val/f2 is not measured; known: val/accuracy"):
        EarlyStopping("val/f2").on_validation_end(Trainer(1.0), None)  # type: ignore[arg-type]


class Trainer:
    sanity_checking = False

    def __init__(self, value: float) -> None:
        self.callback_metrics = {"val/accuracy": value}
        self.should_stop = False
