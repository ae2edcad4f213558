"""Pruning as a stage of a run."""

from pathlib import Path

import pytest
import torch

from sr_experiments import train
from sr_experiments.callbacks import ChannelRanker
from sr_experiments.configuration.compose import compose
from sr_experiments.errors import UserError
from sr_experiments.models import RPQ, load_model, read_model
from sr_experiments.pruning import wiring
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import RegressionTask
from sr_experiments.training.parts import build

SMALL = ["model=rpq", "model.channels=6", "model.num_blocks=1"]
RANK = ["callbacks=[default,channel_ranker]"]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.usefixtures("one_cache"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
]


def job(folder: Path, *words: str) -> train.Job:
    overrides = [
        *("trainer.accelerator=cpu", "trainer.threads=1", "data.test=[photos:test]"),
        *("data.patch=12", "data.batch_size=2", "data.steps_per_epoch=20"),
        f"paths.output_dir={folder / 'out'}",
        *words,
    ]
    config = compose(overrides, hydra=True)
    choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
    return train.Job(compose(overrides), choices, overrides)


def ranked(folder: Path, *words: str) -> RegressionTask:
    task = build(job(folder, *SMALL, *RANK, *words).stages[0]).task
    assert isinstance(task, RegressionTask)
    return task


def test_a_stage_of_ranking_leaves_a_narrower_network_which_goes_on(tmp_path: Path) -> None:
    stages = (
        "stages=[{name: rank, overrides: ['callbacks=[default,channel_ranker]', 'trainer.epochs=2',"
        "'callbacks.channel_ranker.target=0.4']},"
        "{name: taught, overrides: ['trainer.epochs=1', 'task.teacher=rank']}]"
    )
    summary = train.run(job(tmp_path, *SMALL, stages, "run_name=pruned"))
    (run,) = (tmp_path / "out" / "pruned").iterdir()
    folder = RunFolder(run)
    saved = read_model(folder.stage_file(1, "rank"))
    widths = saved.config["channels"]
    assert len(widths) == 2
    assert sum(widths) < 12
    network = saved.build()
    assert [conv.channels for conv in wiring(network) if conv.removable] == widths
    final = load_model(run / "model.safetensors")
    assert [conv.channels for conv in wiring(final) if conv.removable] == widths
    assert summary["params"] == sum(value.numel() for value in final.parameters())

    rows = [row for row in folder.metrics() if row["stage"] == "rank"]
    assert float(rows[-1]["prune/channels"]) == sum(widths)
    left = 9 * (3 * widths[0] + widths[0] * widths[1] + widths[1] * 27)
    share = left / (9 * (3 * 6 + 6 * 6 + 6 * 27))
    assert float(rows[-1]["prune/weights"]) == pytest.approx(share, rel=1e-5)
    # What the stage leaves is its last network: the one that was scored last, INT8 included.
    assert summary["stages"][0]["val/psnr"] == pytest.approx(float(rows[-1]["val/psnr"]))
    assert summary["stages"][0]["val_int8/psnr"] == pytest.approx(float(rows[-1]["val_int8/psnr"]))
    assert {"train/loss/ranker/cost", "train/loss/distillation"} <= folder.metrics()[0].keys()


def test_what_is_validated_is_what_the_stage_leaves(tmp_path: Path) -> None:
    task = ranked(tmp_path, "task.ema_decay=0.5")
    assert task.ranking is not None
    with torch.no_grad():
        for ranker in task.ranking.rankers:
            ranker.second.bias[::2] = -10 / ranker.gain
        for value in task.trained.parameters():
            value.add_(0.05 * torch.randn_like(value))
    low_res = torch.rand(1, 3, 9, 9)
    config = {"_target_": "sr_experiments.models.RPQ", "channels": 6, "num_blocks": 1}
    left, described = task.outcome(config)
    assert described == {**config, "channels": [3, 3]}
    assert torch.allclose(left(low_res), task(low_res), atol=1e-5)
    assert not torch.allclose(task.trained(low_res), task(low_res), atol=1e-5)


def test_rankers_train_with_the_optimiser_undecayed_at_a_rate_of_their_own(tmp_path: Path) -> None:
    task = ranked(tmp_path, "optimizer=adamw", "scheduler=cosine", "optimizer.lr=1e-4")
    optimizer = task.configure_optimizers()["optimizer"]  # type: ignore[index,typeddict-item]
    network, rankers = optimizer.param_groups
    assert (network["initial_lr"], rankers["initial_lr"]) == (1e-4, 1e-3)
    assert rankers["weight_decay"] == 0 < network["weight_decay"]
    assert task.ranking is not None
    before = {name: value.clone() for name, value in task.state_dict().items()}
    task.ranking.steps += 10
    terms = task.terms(*task.train_batch())
    assert {"ranker/noise", "ranker/entropy", "ranker/cost"} < terms.keys()
    torch.autograd.backward(task.total_loss(terms))
    optimizer.step()
    changed = [name for name, value in task.state_dict().items() if not value.equal(before[name])]
    assert any(name.startswith("ranking.") for name in changed)
    assert any(name.startswith("network.") for name in changed)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model=pureconvsr"], "channel_ranker: no channel of PureConvSR"),
        (["model=fsrcnn"], "channel_ranker: FSRCNN cannot be pruned"),
        (["quantization=qat"], "channel_ranker: channels are removed before quantisation"),
        (["callbacks.channel_ranker.target=1"], r"channel_ranker\.target=1"),
        (["model=abpn", "model.channels=[3,4]"], r"model\.channels=\[3, 4\] has 2 widths"),
    ],
)
def test_what_cannot_be_pruned_is_refused_before_a_folder_exists(
    words: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        train.run(job(tmp_path, *RANK, *words))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [{"cost": 0}, {"noise": -1}, {"entropy": -1}, {"annealing": 0}, {"temperature": 0}]
)
def test_impossible_options_are_refused_by_key(option: dict[str, float]) -> None:
    ((name, value),) = option.items()
    with pytest.raises(UserError, match=rf"callbacks\.channel_ranker\.{name}={value} "):
        ChannelRanker(**option)


def test_rpq_shrinks_from_48_to_what_the_report_left_of_it(tmp_path: Path) -> None:
    task = ranked(tmp_path, "model.channels=48", "model.num_blocks=4")
    assert task.ranking is not None
    with torch.no_grad():
        for ranker in task.ranking.rankers:
            ranker.second.bias[31:] = -10 / ranker.gain
    config = {"_target_": "sr_experiments.models.RPQ", "channels": 48}
    left, described = task.outcome(config)
    assert described["channels"] == [31] * 5
    assert isinstance(left, RPQ)
    assert task.ranking.share() == pytest.approx(42_966 / 95_904)
