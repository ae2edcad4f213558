"""Sweeps that sample: their study is kept, and one cut short ends as an undisturbed one."""

import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from sr_experiments.__main__ import main
from sr_experiments.configuration.search import STUDY, study_words
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder

optuna = pytest.importorskip("optuna", reason="the extra sweep is not installed")


def config(**sweeper: object) -> DictConfig:
    values = {
        "_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
        "storage": None,
        "study_name": None,
        "sampler": {"_target_": "optuna.samplers.RandomSampler", "seed": None},
    }
    return OmegaConf.create({"seed": 7, "hydra": {"sweeper": {**values, **sweeper}}})


def keys(words: list[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("hydra.") for word in words}


def test_a_sampler_without_a_seed_gets_the_runs_and_its_study_a_place(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    with study_words(config(), folder) as words:
        assert "hydra.sweeper.sampler.seed=7" in words
        assert any(rf"sqlite:///{tmp_path}/it\'s mine/{STUDY}" in word for word in words)
        with pytest.raises(UserError, match="another process"), study_words(config(), folder):
            pass
    with study_words(config(sampler={"seed": 3}), folder) as words:
        assert keys(words) == {"sweep.dir", "sweeper.storage", "sweeper.study_name"}


def test_a_storage_of_ones_own_and_a_grid_are_left_alone(tmp_path: Path) -> None:
    with study_words(config(storage="sqlite:///mine.db"), tmp_path / "a") as words:
        assert keys(words) == {"sweep.dir", "sweeper.sampler.seed"}
    grid = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    with study_words(OmegaConf.create({"hydra": {"sweeper": grid}}), tmp_path / "b") as words:
        assert words == []
    assert not list(tmp_path.iterdir())


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """40 noisy squares, every other one darker."""
    root, random = tmp_path / "faces", np.random.default_rng(1)
    root.mkdir()
    for index in range(40):
        pixels = random.integers(100, 200, (8, 8, 3)) - 60 * (index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{index}.png")
    rows = [f"{index}.png,{index % 2}" for index in range(40)]
    (root / "labels.csv").write_text("\n".join(["file,glasses", *rows]) + "\n")
    return root


def test_a_search_that_is_started_again_draws_the_same_trials_and_finishes_the_missing(
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        "sweep=glasses_learning_rate",
        "scheduler.decay_steps=50",  # the fewer axes, the fewer jobs are checked
        "data=gan_faces",
        f"data.root={faces}",
        "data.files=['{file}']",
        "data.size=16",
        "model.num_blocks=1",
        "model.channels=2",
        "trainer.epochs=1",
        "trainer.threads=1",
        f"paths.output_dir={tmp_path / 'out'}",
        f"paths.cache_dir={tmp_path / 'cache'}",
    ]
    folder = tmp_path / "out" / "glasses_learning_rate"

    def search(trials: int) -> list[tuple[dict[str, object], float | None]]:
        monkeypatch.setattr(sys, "argv", ["sr_experiments"])
        main([*words, f"hydra.sweeper.n_trials={trials}"])
        (study,) = optuna.get_all_study_summaries(f"sqlite:///{folder / STUDY}")
        kept = optuna.load_study(study.study_name, f"sqlite:///{folder / STUDY}")
        return [(trial.params, trial.value) for trial in kept.trials]

    first = search(2)
    printed = capsys.readouterr().out
    assert "finished before" not in printed
    assert "tuned learning rate" in printed  # the paper's row, ours beside it
    whole = search(3)
    assert capsys.readouterr().out.count("finished before") == 2
    assert whole[:2] == first
    assert len({str(params) for params, _ in whole}) == 3
    jobs = [path for path in folder.iterdir() if path.is_dir()]
    assert len(jobs) == 3
    losses = [RunFolder(job).summary()["scores"]["val"]["loss"] for job in jobs]
    assert sorted(losses) == pytest.approx(sorted(value for _, value in whole))  # type: ignore[type-var]
