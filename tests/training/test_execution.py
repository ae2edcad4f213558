import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr_experiments import train
from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import SuperResolutionTask
from sr_experiments.training import execution
from sr_experiments.training.execution import BF16, Execution, fastest, milliseconds
from sr_experiments.training.parts import build
from sr_experiments.training.preflight import preflight
from sr_experiments.training.trainer import FP32

MakeJob = Callable[..., train.Job]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


def test_what_is_fastest_is_measured_once_and_taken_up_again(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def slow_in_float32(runs: list[Any]) -> list[float]:
        measured.append(len(runs))
        return [4.0, 3.0, 2.0, 1.0]

    monkeypatch.setattr(execution, "milliseconds", slow_in_float32)
    summary = train.run(make_job(tmp_path, "trainer=fast", "trainer.epochs=1"))
    assert summary["status"] == "finished"
    assert measured == [4]
    (file,) = tmp_path.rglob("environment.json")
    chosen = json.loads(file.read_text())["execution"]["stages"]["1"]
    assert (chosen["precision"], chosen["channels_last"]) == (BF16, False)
    assert chosen["compile"] is False  # a training of a second does not pay for it
    assert chosen["milliseconds"]["32-true channels-last"] == 4
    folder = RunFolder(file.parent)
    (stage,) = make_job(tmp_path, "trainer=fast", "trainer.epochs=1").stages
    again = execution.settled(stage, {}, folder)
    assert again.config.trainer.precision == BF16
    assert measured == [4]


def test_only_what_is_left_open_is_tried(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "milliseconds", lambda runs: [1.0] * len(runs))
    (stage,) = make_job(tmp_path, "trainer.precision=auto").stages
    best, times = fastest(stage, {})
    assert best == Execution(FP32, channels_last=True, compile=False)
    assert list(times) == ["32-true channels-last", "bf16-mixed channels-last"]
    (stage,) = make_job(tmp_path, "trainer=fast", "quantization=qat").stages
    assert fastest(stage, {}) == (Execution(FP32, channels_last=True, compile=False), {})


def test_the_fastest_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    turns = iter([0.001, 0.001, *(0.009, 0.5), *(0.004, 0.3), *(0.7, 0.02), *(0.6, 0.2) * 2])

    def turn() -> None:
        nonlocal clock
        clock += next(turns)

    monkeypatch.setattr(execution, "time", SimpleNamespace(perf_counter=lambda: clock))
    assert milliseconds([turn, turn]) == pytest.approx([4, 20])
    assert not list(turns)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trainer.compile=yes please"], "trainer.compile=yes please"),
        (["trainer.channels_last=maybe"], "trainer.channels_last=maybe"),
        (["trainer.compile=true", "quantization=qat"], "quantisation-aware training moves"),
        (["trainer.precision=bf17"], "trainer: Precision 'bf17'"),
    ],
)
def test_what_cannot_be_is_refused(
    make_job: MakeJob, words: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        preflight(make_job(tmp_path, *words))


def test_compiling_without_a_compiler_is_refused(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="no-such-compiler"):
        preflight(make_job(tmp_path, "trainer.compile=true", "trainer.accelerator=cpu"))


def test_a_loss_behind_bf16_layers_is_in_float32(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage,) = make_job(tmp_path).stages
    task = build(stage).task
    assert isinstance(task, SuperResolutionTask)
    low_res = torch.rand(2, 3, 16, 16)
    seen: list[Tensor] = []
    *_, last = (part for part in task.network.modules() if isinstance(part, nn.Conv2d))
    last.register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.autocast("cpu", torch.bfloat16):
        assert task.predict(low_res).dtype == torch.float32
        assert seen[0].dtype == torch.bfloat16
        monkeypatch.setattr(task, "log", lambda *args, **options: None)
        task.validation_step(0, 0)
    assert all(x.dtype == torch.float32 for x in seen[1:])
    assert len(seen) > 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_a_compiled_step_has_the_gradient_of_a_plain_one(make_job: MakeJob, tmp_path: Path) -> None:
    gradients = []
    for compiled in (False, True):
        (stage,) = make_job(tmp_path).stages
        task = build(stage).task
        assert isinstance(task, SuperResolutionTask)
        if compiled:
            task.compile_step()
        torch.manual_seed(0)
        task.trial()()
        gradients.append([parameter.grad for parameter in task.network.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
