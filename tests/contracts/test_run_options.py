"""Each option of a run as a whole changes what it trains, where, or what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from alternatives import Only, Options, Table, check_every_option, digest, names, options_of, to
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_runs import composed, train

from sr_experiments.configuration.compose import compose
from sr_experiments.configuration.locations import config_dir, groups
from sr_experiments.models import XLSR, save_model
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.sweeping.group import groups as grouped
from sr_experiments.sweeping.launcher import demanded
from sr_experiments.sweeping.objective import answer
from sr_experiments.training.job import Job
from sr_experiments.training.trainer import fix_execution

pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
SEEN: dict[str, str] = {}  # of trainers that differ in nothing where there is no GPU
SUMMARY = {"stages": [{"val/psnr": 30.0, "val/ssim": 0.9}]}
TESTED = {  # groups, and where their options are
    "callbacks": "test_callback_options.py",
    "data": "test_data_options.py",
    "discriminator": "test_model_options.py",
    "loss": "test_loss_options.py",
    "model": "test_model_options.py",
    "optimizer": "test_step_options.py",
    "quantization": "test_quantization_options.py",
    "scheduler": "test_step_options.py",
    "task": "test_task_options.py and test_study_options.py",
    "task/regularizers": "test_task_options.py",
    "trainer": "here",
    "paths": "here",
    "hydra": "here",
    "logger": "tests/reporting/loggers",
}
ONLY_WORDS = {"experiment", "debug", "sweep"}  # values of options of the groups above


def test_every_group_has_a_test_of_its_options() -> None:
    assert groups().keys() == TESTED.keys() | ONLY_WORDS


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", names("trainer"))
def test_every_option_of_the_trainer_changes_the_training(
    name: str, photo_words: tuple[str, ...], tmp_path: Path
) -> None:
    stage = composed("data.steps_per_epoch=4", *photo_words)
    table: Table = {
        "accelerator": Only("where it trains"),
        "devices": Only("how many processes share a batch; tests/training/test_together.py"),
        "compile": Only("speed; tests/training/test_execution.py"),
        "precision": to("bf16-mixed"),
        "channels_last": to(False),
        "steps_per_batch": to(2),
        "threads": to(2),
        "gradient_clip": to(1e-3),
    }

    def observe(made: Options) -> str:
        config = OmegaConf.create(made)
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        threads = fix_execution(config, 1, RunFolder(place))
        torch.set_num_threads(1)
        run = train(stage, place, {"trainer": config})
        strides = [value.stride() for value in run.parts.network.state_dict().values()]
        return digest(run.looks, threads, strides, run.trainer.num_training_batches)

    options = options_of("trainer", name, epochs=2, accelerator="cpu", threads=1)
    check_every_option(f"trainer/{name}", options, table, observe, SEEN)


def test_every_root_value_changes_the_run(photo_words: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(7)
    model = {"_target_": "sr_experiments.models.XLSR", "scale": 3}
    save_model(XLSR(3), model, tmp_path / "other.safetensors")
    words = ("model=xlsr", "scale=3", "-model.channels", "-model.num_blocks", *photo_words)
    stage = composed(*words)
    roots = OmegaConf.load(config_dir() / "config.yaml").keys() - {"defaults"}
    table: Table = {
        "run_name": to("mine"),
        "resume": to(False),
        "fail_fast": Only("which jobs a sweep starts; tests/sweeping/test_sweep.py"),
        "objective": to("val/ssim"),
        "pretrained": to(True),
        "init_from": to(str(tmp_path / "other.safetensors")),
        "stages": Only("a list of trainings; tests/training/test_stages.py"),
    }

    def observe(made: Options) -> str:
        config = stage.config.copy()
        for key, value in made.items():
            config[key] = value
        job = Job(config, stage.choices, [])
        parent = tmp_path / f"runs{len(list(tmp_path.iterdir()))}"
        begun = RunFolder.choose(parent, job.resolved, resume=True)
        begun.write_summary({"status": "running"})
        begun.unlock()
        again = RunFolder.choose(parent, job.resolved, resume=job.config.resume)
        again.unlock()
        looks = train(stage, tmp_path, made).looks
        return digest(looks, job.name, again.path == begun.path, answer(config, SUMMARY))

    options = {str(key): stage.config[key] for key in roots}
    check_every_option("config", options, table, observe)


def test_every_path_is_where_things_go_or_come_from() -> None:
    def observe(made: Options) -> str:
        config = compose([f"paths.{key}={value}" for key, value in made.items()], hydra=True)
        job = Job(config, {}, [])
        places = config.data.data_dir, config.data.cache_dir, config.hydra.sweep.dir
        return digest(job.outputs, *places)

    options = {"output_dir": "a", "data_dir": "b", "cache_dir": "c"}
    assert options.keys() == options_of("paths", "default").keys()
    table: Table = {key: to("elsewhere") for key in options}
    check_every_option("paths/default", options, table, observe)


def test_every_option_of_the_batched_launcher_changes_its_groups(
    photo_words: tuple[str, ...],
) -> None:
    stage = composed(*photo_words)
    jobs = [
        Job(OmegaConf.merge(stage.config, {"seed": seed}), stage.choices, [], ("", str(seed)))
        for seed in (1, 2, 3)
    ]

    def observe(made: Options) -> str:
        config = OmegaConf.create({"hydra": {"launcher": made}})
        most = instantiate(made).runs
        return digest(demanded(config), [len(group) for group in grouped(jobs, most)])

    options = options_of("hydra/launcher", "batched")
    check_every_option("launcher/batched", options, {"runs": to(2)}, observe)
