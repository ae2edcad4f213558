"""What real runs log, and that the dashboard draws just that."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sr_experiments import dashboard, train
from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.errors import UserError
from sr_experiments.reporting import dashboards

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic V1 style"),  # wandb-workspaces
    # wandb closes its own service's pipes when the process ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
TINY = [
    "logger=wandb",
    "logger.histograms=1",
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.steps_per_epoch=3",
    "data.test=[photos:test]",
    "trainer.epochs=2",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]
GAN = [
    "task=gan",
    "~loss.terms.features",  # whose weights are not here
    "discriminator=srgan",
    "discriminator.width=0.0625",
    "discriminator.pool=1",
    "discriminator.hidden=4",
]


@pytest.fixture(scope="module")
def trained(
    forget_wandb: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Path]]:
    """Train a network of a few hundred weights; its run folder."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        forget_wandb(patch, folder / "home")
        patch.setenv("WANDB_DATA_DIR", str(folder / "wandb_data"))
        patch.setattr("sr_experiments.reporting.finish.LATENCY_RUNS", 1)

        def make(*words: str) -> Path:
            places = [
                f"paths.output_dir={folder / 'out'}",
                f"paths.cache_dir={tmp_path_factory.getbasetemp() / 'cache'}",
            ]
            overrides = [*TINY, *words, *places]
            before = set((folder / "out").glob("*/*"))
            train.run(train.Job(*check_with_choices(overrides), overrides))
            (made,) = set((folder / "out").glob("*/*")) - before
            return made

        yield make
    torch.set_num_threads(threads)


def keys(node: Any) -> set[str]:
    """Every metric, number of a summary, and medium in a specification's panels."""
    found: set[str] = set()
    if isinstance(node, dict):
        kind, config = node.get("viewType"), node.get("config", {})
        if kind is not None:
            found |= {*config.get("metrics", []), *config.get("mediaKeys", [])}
            ends = [config.get(name, "") for name in ("xAxis", "yAxis")]
            ends += [column["accessor"] for column in config.get("columns", [])]
            found |= {end for end in ends if end}
        return found.union(*(keys(item) for item in node.values()))
    return found.union(*(keys(item) for item in node)) if isinstance(node, list) else found


def test_the_dashboard_draws_what_a_run_logs(
    trained: Callable[..., Path], decode: Callable[[Path], list[Any]], tmp_path: Path
) -> None:
    pytest.importorskip("wandb_workspaces")
    (shown,) = decode(trained())
    assert shown.exit_code == 0
    rows = [row for row in shown.history if "val/psnr" in row]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert [row["iteration"] for row in rows] == [3, 6]
    # Each convolution has both histograms, and each of them a range.
    layers = {name.split("/")[1] for name in rows[-1] if name.startswith("weights/")}
    assert layers
    for layer in layers:
        assert sum(rows[-1][f"weights/{layer}/values"]) > 0
        assert sum(rows[-1][f"activations/{layer}/values"]) > 0
        ends = [rows[-1][f"ranges/activations/{layer}/{end}"] for end in ("low", "high")]
        assert ends[0] < ends[1]

    logged = {name.removesuffix("/_type") for row in shown.history for name in row}
    known = logged | {f"summary:{name}" for name in shown.summary}
    for key, value in shown.config.items():
        known.add(f"config:{key}.value" if not isinstance(value, dict) else "")
        if isinstance(value, dict):
            known |= {f"config:{key}.value.{name}" for name in value}

    file = tmp_path / "dashboard.json"
    dashboard.main(["entity=me", "data=photos", "group=losses", f"dry_run={file}"])
    made = json.loads(file.read_text(encoding="utf-8"))
    for part in ("workspace", "report"):
        drawn = keys(made[part])
        assert drawn - known == set()
        assert drawn >= {
            "val/psnr", "val_int8/psnr", "val/int8_drop", "strips",
            "summary:latency_ms", "summary:tflite_kib", "summary:test/photos/int8/psnr_y",
        }  # fmt: skip
        assert '"losses"' in json.dumps(made[part])
    assert dashboards.TABLE in logged
    assert dashboards.TABLE in json.dumps(made["report"])


@pytest.mark.slow
def test_a_gans_curves_count_batches_and_not_the_steps_of_its_two_optimisers(
    trained: Callable[..., Path], decode: Callable[[Path], list[Any]]
) -> None:
    (shown,) = decode(trained(*GAN))
    rows = [row for row in shown.history if "val/psnr" in row]
    assert [row["iteration"] for row in rows] == [3, 6]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert shown.axes["train/*"] == "iteration"
    assert "train/discriminator/loss" in rows[0]


def test_without_a_key_the_dashboard_says_what_to_do(
    forget_wandb: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb_workspaces")
    forget_wandb(monkeypatch, tmp_path)
    with pytest.raises(UserError, match=r"wandb login, or add dry_run=dashboard.json"):
        dashboard.main(["entity=me"])


def test_a_dashboard_that_w_and_b_does_not_take_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")

    def refuse(self: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setattr(workspaces.Workspace, "save", refuse)
    with pytest.raises(UserError, match=r"dashboard of me/p: no route to host\n.*dry_run"):
        dashboard.main(["entity=me", "project=p"])
