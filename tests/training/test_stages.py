"""Several trainings in one run folder, each from what the one before left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from sr_experiments import train
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, collapse, load_model, read_model
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import RegressionTask
from sr_experiments.training.parts import build

MakeJob = Callable[..., train.Job]

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")

FIRST = "{name: first, epochs: 2, overrides: ['loss=l1', 'quantization=none', 'data.patch=12']}"
# A learning rate of zero leaves what the stage began with.
FROZEN = ("optimizer.lr=0.0", "scheduler=constant")


def second(*words: str, name: str = "second", epochs: int = 1, collapse: bool = False) -> str:
    quoted = ", ".join(f"'{word}'" for word in ("loss=mse", *words))
    folded = str(collapse).lower()
    return f"{{name: {name}, epochs: {epochs}, collapse: {folded}, overrides: [{quoted}]}}"


def stages(*entries: str) -> str:
    return f"stages=[{', '.join(entries)}]"


class PowerCut(BaseException):
    """What no code catches."""


def only_run(folder: Path) -> Path:
    ((run,),) = [list(path.iterdir()) for path in (folder / "out").iterdir()]
    return run


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def two_stages(make_job: MakeJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    train.run(make_job(folder, stages(FIRST, second())))
    return only_run(folder)


def test_epochs_and_iterations_go_on_and_each_row_names_its_stage(two_stages: Path) -> None:
    rows = RunFolder(two_stages).metrics()
    axes = [(row["epoch"], row["iteration"], row["stage"]) for row in rows]
    assert axes == [("0", "3", "first"), ("1", "6", "first"), ("2", "9", "second")]
    assert [bool(row["train/loss/l1"]) for row in rows] == [True, True, False]
    assert [bool(row["train/loss/mse"]) for row in rows] == [False, False, True]
    assert [bool(row["val_int8/psnr"]) for row in rows] == [False, False, True]


def test_the_summary_tells_of_each_stage_what_it_left(two_stages: Path) -> None:
    summary = json.loads((two_stages / "summary.json").read_text())
    rows = RunFolder(two_stages).metrics()
    first, last = summary["stages"]
    assert (first["name"], first["steps"], first["epochs"]) == ("first", 6, 2)
    assert (last["name"], last["steps"], last["epochs"]) == ("second", 3, 1)
    assert (first["loss"], first["quantization"], first["patch"]) == ("l1", "none", 12)
    assert (last["loss"], last["quantization"], last["patch"]) == ("mse", "ptq", 32)
    assert first["val/psnr"] == max(float(row["val/psnr"]) for row in rows[:2])
    assert "drop" not in first
    assert last["drop"] == float(rows[2]["val/int8_drop"])
    assert summary["train"]["steps"] == 9
    assert summary["train"]["seconds"] == pytest.approx(first["seconds"] + last["seconds"])


def test_a_stage_is_scored_on_the_test_sets_in_every_mode_that_it_names(
    make_job: MakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = FIRST.replace("epochs: 2", "epochs: 1, test: [ptq_per_tensor, ptq]")
    words = stages(tested, second(*FROZEN, "quantization=ptq_per_tensor"))
    train.run(make_job(tmp_path, "data.test=[photos:test]", words))
    summary = RunFolder(only_run(tmp_path)).summary()
    scores = summary["stages"][0]["test"]["photos"]
    # The last stage learns nothing, so the files it ships are those of the first one's network.
    shipped = summary["test"]["photos"]
    assert list(scores) == ["bicubic", "fp32", "ptq_per_tensor", "ptq"]
    for ours, theirs in (("bicubic", "bicubic"), ("fp32", "fp32"), ("ptq_per_tensor", "int8")):
        assert scores[ours] == pytest.approx(shipped[theirs], abs=1e-4)
    assert scores["ptq"] != scores["ptq_per_tensor"]
    assert f"({scores['fp32']['psnr_y'] - scores['ptq']['psnr_y']:+.3f})" in capsys.readouterr().out
    assert "test" not in summary["stages"][1]


@pytest.mark.parametrize(
    ("mode", "words", "told"),
    [
        ("qat", (), "stage first: test: quantization=qat is no quantisation after training"),
        ("ptq", ("quantization=qat",), "stage first: test: the stage trains on the INT8 grid"),
    ],
)
def test_a_mode_that_cannot_be_tested_is_refused(
    mode: str, words: tuple[str, ...], told: str, make_job: MakeJob, tmp_path: Path
) -> None:
    tested = FIRST.replace("epochs: 2", f"epochs: 2, test: [{mode}]")
    with pytest.raises(UserError, match=told):
        train.run(make_job(tmp_path, *words, stages(tested, second())))
    assert not (tmp_path / "out").exists()


def test_the_folder_says_what_each_stage_changed(two_stages: Path) -> None:
    config = yaml.safe_load((two_stages / "config.yaml").read_text())
    assert config["loss"]["_target_"] == "sr_experiments.losses.Charbonnier"
    told = [entry["resolved"]["loss"]["_target_"] for entry in config["stages"]]
    assert told == ["sr_experiments.losses.L1", "sr_experiments.losses.MSE"]


def test_a_stage_begins_with_the_best_network_of_the_one_before(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ever_worse(self: RegressionTask, index: int, batch_idx: int) -> None:
        self.log("val/psnr", -float(self.current_epoch), batch_size=1)

    monkeypatch.setattr(RegressionTask, "validation_step", ever_worse)
    constant = "scheduler=constant"
    words = stages(FIRST, second(*FROZEN))
    train.run(make_job(tmp_path / "a", constant, words))
    one_epoch = stages(FIRST.replace("epochs: 2", "epochs: 1"), second(*FROZEN))
    train.run(make_job(tmp_path / "b", constant, one_epoch))
    a, b = only_run(tmp_path / "a"), only_run(tmp_path / "b")
    best = load_model(a / "stages" / "1-first.safetensors")
    assert equal(best, load_model(b / "stages" / "1-first.safetensors"))
    assert equal(collapse(best), load_model(a / "model.safetensors"))


def test_a_stage_may_go_on_with_the_folded_network(make_job: MakeJob, tmp_path: Path) -> None:
    words = stages(FIRST, second(*FROZEN, collapse=True), second(name="third"))
    train.run(make_job(tmp_path, "model.block=ecb", words))
    left = only_run(tmp_path) / "stages"
    before, after = (
        read_model(left / name) for name in ("1-first.safetensors", "2-second.safetensors")
    )
    assert (before.collapsed, after.collapsed) == (False, True)
    assert equal(collapse(before.build()), after.build())
    third = torch.load(only_run(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)
    trained = {k.removeprefix("network.") for k in third["state_dict"]}
    assert trained == set(ABPN(channels=4, num_blocks=1).state_dict())


def test_options_of_the_network_may_change_where_its_weights_stay(
    make_job: MakeJob, tmp_path: Path
) -> None:
    fp32 = FIRST.replace("'loss=l1'", "'model.activation=silu'")
    words = stages(fp32, second(*FROZEN, "model.activation=relu"))
    train.run(make_job(tmp_path, "model=skipskip", words))
    first = read_model(only_run(tmp_path) / "stages" / "1-first.safetensors")
    shipped = read_model(only_run(tmp_path) / "model.safetensors")
    assert first.config["activation"] == "silu"
    assert shipped.config == {**first.config, "activation": "relu"}
    assert shipped.tensors.keys() == first.tensors.keys()
    assert all(torch.equal(shipped.tensors[key], first.tensors[key]) for key in first.tensors)


def interrupt_step(iteration: int) -> Callable[[pytest.MonkeyPatch], None]:
    def arrange(patch: pytest.MonkeyPatch) -> None:
        step = RegressionTask.training_step

        def deadly(self: RegressionTask, *args: Any) -> Tensor:
            if self.iteration == iteration:
                raise PowerCut
            return step(self, *args)

        patch.setattr(RegressionTask, "training_step", deadly)

    return arrange


def interrupt_call(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def deadly(*args: Any, **kwargs: Any) -> None:
        raise PowerCut

    return lambda patch: patch.setattr(train, name, deadly)


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(interrupt_step(4), id="in the first stage"),
        pytest.param(interrupt_call("save_model"), id="before the first stage's file"),
        pytest.param(interrupt_call("read_model"), id="after it"),
        pytest.param(interrupt_step(7), id="in the second stage"),
        pytest.param(interrupt_call("write_page"), id="at the very end"),
    ],
)
def test_an_interrupted_run_goes_on_in_its_stage_to_the_same_weights(
    arrange: Callable[[pytest.MonkeyPatch], None],
    two_stages: Path,
    make_job: MakeJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job(tmp_path, stages(FIRST, second()))
    with monkeypatch.context() as patch:
        arrange(patch)
        with pytest.raises(PowerCut):
            train.run(job)
    train.run(job)
    run = only_run(tmp_path)
    for file in ("model.safetensors", "model_int8.tflite", "stages/1-first.safetensors"):
        assert (run / file).read_bytes() == (two_stages / file).read_bytes(), file
    whole, resumed = (RunFolder(path).metrics() for path in (two_stages, run))
    timeless = [
        [{k: v for k, v in row.items() if "time" not in k} for row in rows]
        for rows in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("model.block=ecb", "stage second: the network of stage first: weight"),
        (
            "model.anchor=conv1",
            "stage second: the network of stage first: weight anchor.*is missing",
        ),
        ("data=general100", "stage second: .*general100"),
        ("data.patch=500", "stage second: .*data.patch"),
        ("optimizer.lr=-1.0", "stage second: optimizer: Invalid learning rate"),
        ("trainer.precision=half", "stage second: trainer: Precision"),
        ("quantization.observer=guess", "stage second: quantization.observer=guess"),
    ],
)
def test_every_stage_is_checked_before_the_first_one_starts(
    words: str, told: str, make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        train.run(make_job(tmp_path, "paths.data_dir=null", stages(FIRST, second(words))))
    assert not (tmp_path / "out").exists()


def test_options_of_a_callback_that_is_not_chosen_are_refused(
    make_job: MakeJob, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"callbacks=\[default,perception\] adds it"):
        train.run(make_job(tmp_path, "+callbacks.perception.metrics={}"))


def test_a_stage_of_no_epochs_is_refused(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stage second: trainer\.epochs=0 is below 1"):
        train.run(make_job(tmp_path, stages(FIRST, second(epochs=0))))


def test_a_stage_that_a_mode_refuses_is_refused_by_name(make_job: MakeJob, tmp_path: Path) -> None:
    line = stages(FIRST, second("quantization.input_type=int4"))
    with pytest.raises(UserError, match=r"(?s)stage second: .*int4"):
        train.run(make_job(tmp_path, line))


@pytest.mark.parametrize(
    ("epochs", "budget", "expected"),
    [
        (600, 1.0, (600, 1000)),
        (600, 0.01, (6, 1000)),
        (600, 0.0005, (1, 300)),  # three tenths of an epoch
        (220, 0.0005, (1, 110)),
        (1, 1e-9, (1, 1)),
    ],
)
def test_a_budget_scales_every_stage_below_an_epoch_too(
    epochs: int, budget: float, expected: tuple[int, int], make_job: MakeJob, tmp_path: Path
) -> None:
    line = stages(FIRST, second(epochs=epochs))
    words = ["data.steps_per_epoch=1000", f"budget={budget}"]
    last = make_job(tmp_path, *words, line).stages[1]
    parts = build(last, {"first": read_saved(tmp_path)})
    assert (parts.epochs, parts.task.data.steps_per_epoch) == expected
    assert parts.steps == expected[0] * expected[1]


def read_saved(folder: Path) -> Any:
    from sr_experiments.models import save_model

    config = {"_target_": "sr_experiments.models.ABPN", "channels": 4, "num_blocks": 1}
    save_model(ABPN(channels=4, num_blocks=1), config, folder / "saved.safetensors")
    return read_model(folder / "saved.safetensors")


def test_a_plateau_seen_before_an_interruption_is_not_forgotten(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(self: RegressionTask, index: int, batch_idx: int) -> None:
        self.log("val/psnr", 20.0, batch_size=1)

    monkeypatch.setattr(RegressionTask, "validation_step", stale)
    plateau = ["scheduler=plateau", "scheduler.stale_epochs=2", "quantization=none"]
    job = make_job(tmp_path, *plateau, "trainer.epochs=7")
    for iteration in (7, 10, 16):  # in the third epoch, the fourth and the sixth
        with monkeypatch.context() as patch:
            interrupt_step(iteration)(patch)
            with pytest.raises(PowerCut):
                train.run(job)
    train.run(job)
    rates = [float(row["lr/network"]) for row in RunFolder(only_run(tmp_path)).metrics()]
    # The first epoch is a best one; two stale epochs follow before each cut.
    assert rates == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4]
