"""A run may start from what another one left."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sr_experiments import train
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.shipped import FOLDER
from sr_experiments.errors import UserError
from sr_experiments.models import load_model
from sr_experiments.training.parts import build

MakeJob = Callable[..., train.Job]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")


@pytest.fixture(scope="module")
def x2(make_job: MakeJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at x2 of a network that trains in a wider form."""
    folder = tmp_path_factory.mktemp("x2")
    words = ["scale=2", "model.block=ecb", "trainer.epochs=1", "quantization=none"]
    train.run(make_job(folder, *words))
    ((run,),) = [list(path.iterdir()) for path in (folder / "out").iterdir()]
    return run


def test_a_run_folder_gives_the_weights_from_before_they_were_folded(
    make_job: MakeJob, x2: Path, tmp_path: Path
) -> None:
    (stage,) = make_job(tmp_path, f"init_from={x2}", "scale=4", "model.block=ecb", "seed=8").stages
    parts = build(stage)
    best = torch.load(x2 / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    agree = 0
    for name, value in parts.network.state_dict().items():
        if value.shape == best[f"network.{name}"].shape:
            assert torch.equal(value, best[f"network.{name}"]), name
            agree += 1
    assert agree > 4
    assert parts.note is not None
    assert parts.note.startswith(f"init_from={x2}: copied {agree} tensors")
    assert "of the x2 network into x4\n  not copied, they start anew: " in parts.note


def test_a_folded_network_takes_the_shipped_file(
    make_job: MakeJob, x2: Path, tmp_path: Path
) -> None:
    line = "stages=[{name: fused, collapse: true}]"
    words = [f"init_from={x2}/model.safetensors", "scale=2", "model.block=ecb", line]
    network = build(make_job(tmp_path, *words).stages[0]).network
    shipped = load_model(x2 / "model.safetensors").state_dict()
    assert network.training
    assert network.state_dict().keys() == shipped.keys()
    assert all(torch.equal(value, shipped[k]) for k, value in network.state_dict().items())


def test_a_run_of_other_widths_is_refused_with_the_options_to_give(
    make_job: MakeJob, x2: Path, tmp_path: Path
) -> None:
    words = [f"init_from={x2}", "scale=2", "model.block=ecb", "model.channels=6"]
    with pytest.raises(UserError, match=r"trained with: .*model\.channels=4 ") as refused:
        build(make_job(tmp_path, *words).stages[0])
    assert "folded" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model=skipskip"], "holds ABPN, not SkipSkip"),
        (["model.channels=6"], r"body.0.bias is \(4,\) there and \(6,\) here"),
    ],
)
def test_a_file_of_quite_another_network_is_refused(
    words: list[str], told: str, make_job: MakeJob, x2: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        train.run(make_job(tmp_path, f"init_from={x2}/model.safetensors", *words))
    assert not (tmp_path / "out").exists()


def test_a_stage_may_enlarge_further_than_the_one_before(
    make_job: MakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = (
        "stages=[{name: x2, epochs: 1, overrides: ['scale=2', 'quantization=none']}, "
        "{name: x3, epochs: 1, overrides: ['quantization=none']}]"
    )
    summary = train.run(make_job(tmp_path, line))
    ((run,),) = [list(path.iterdir()) for path in (tmp_path / "out").iterdir()]
    assert load_model(run / "stages" / "1-x2.safetensors").scale == 2
    assert load_model(run / "model.safetensors").scale == summary["scale"] == 3
    assert "of the x2 network into x3" in capsys.readouterr().out


def job(folder: Path, *words: str) -> train.Job:
    """A run at x3 from the package's weights."""
    overrides = ["scale=3", "pretrained=true", f"paths.cache_dir={folder}", *words]
    return train.Job(*check_with_choices(overrides), overrides)


@pytest.mark.parametrize("model", ["xlsr", "sesr_m5"])
def test_a_network_goes_on_from_the_weights_of_the_package(model: str, tmp_path: Path) -> None:
    parts = build(job(tmp_path, f"model={model}").stages[0])
    brought = load_file(FOLDER / f"{model}_x3.safetensors")
    here = parts.network.state_dict()
    assert here.keys() == brought.keys()
    assert all(torch.equal(here[name], value) for name, value in brought.items())
    assert parts.network.training
    assert parts.note is not None
    assert parts.note.startswith(f"pretrained={model}_x3: copied {len(brought)} tensors")
    assert ("it goes on folded" in parts.note) == (model == "sesr_m5")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model=vdsr"], "pretrained=true with model=vdsr: the package brings .* and no vdsr"),
        (["model=xlsr", "init_from=a"], "pretrained=true and init_from= both say where to start"),
        (["model=abpn", "model.channels=6"], "fits the options of model=abpn as they stand only"),
    ],
)
def test_weights_that_the_package_does_not_bring_are_refused(
    words: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        build(job(tmp_path, *words).stages[0])
