"""Each option of a callback changes what it does to a training, what it logs, or when it stops."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from alternatives import (
    Only,
    Options,
    Table,
    check_every_option,
    digest,
    names,
    options_of,
    photo,
    to,
)
from hydra.utils import instantiate
from tiny_runs import composed, train
from torch import nn
from torchvision.models import alexnet, get_model

from sr_experiments.callbacks import EarlyStopping

CLASS = "_target_"
EPOCHS = {"val/loss": (3, 2, 2.5, 2.4, 1.9, 1.8, 1.85, 1.9, 2, 3, 2, 3, 4, 5, 6, 7, 8),
          "val/accuracy": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)}  # fmt: skip
TABLE: Table = {
    # Of a callback that acts on a training.
    "mode": to({CLASS: "sr_experiments.quantization.NoQuantization"}),
    "threads": Only("speed of LiteRT"),
    "overlap": Only("in which process it measures; tests/callbacks/test_overlap.py"),
    "band": to("absolute", given={"bound": 0.5}),
    "bound": to(0.5),
    # Of one that ends it.
    "monitor": to("val/accuracy"),
    "min_delta": to(0.3),
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*treespec, LeafSpec.*:FutureWarning", "ignore:callbacks.channel_ranker:UserWarning"
)


def stopped(options: Options) -> str:
    """After which epoch it ends a training whose metrics are known."""
    callback: EarlyStopping = instantiate(options)
    trainer: Any = SimpleNamespace(should_stop=False, sanity_checking=False, callback_metrics={})
    for epoch in range(len(EPOCHS["val/loss"])):
        trainer.callback_metrics = {name: values[epoch] for name, values in EPOCHS.items()}
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
        if trainer.should_stop:
            return str(epoch)
    return "never"


@pytest.mark.parametrize("name", names("callbacks"))
def test_every_option_of_a_callback_changes_something(
    name: str, photo_words: tuple[str, ...], tmp_path: Path
) -> None:
    stage = composed("quantization.calibration_size=8", "trainer.epochs=3", *photo_words)
    for key, options in options_of("callbacks", name).items():
        if "mode" in options:
            options |= {"mode": {CLASS: "sr_experiments.quantization.PostTraining"}, "threads": 1}
        if "metrics" in options:  # their options are tested below
            options["metrics"] = {"mean": {CLASS: "sr_experiments.losses.MSE"}}

        def trained(made: Options, key: str = key) -> str:
            return train(stage, tmp_path, {"callbacks": {key: made}}).looks

        observe = stopped if key == "early_stopping" else trained
        if key == "early_stopping":
            options["patience"] = 3
        table = {**TABLE, "metrics.mean": Only("a stand-in")}
        check_every_option(f"callbacks/{name}", options, table, observe)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """By trunk two files of random weights; of AlexNet what LPIPS looks at."""
    made: dict[str, list[str]] = {}
    folder = tmp_path_factory.mktemp("weights")
    for seed in range(2):
        torch.manual_seed(seed)
        with torch.device("meta"):
            shapes = {k: v.shape for k, v in alexnet().state_dict().items() if "features" in k}
        states: dict[str, Any] = {
            "alexnet": {key: torch.randn(shape) / 30 for key, shape in shapes.items()},
            "squeezenet1_1": get_model("squeezenet1_1").state_dict(),
            "squeezenet1_0": get_model("squeezenet1_0").state_dict(),
        }
        for trunk, state in states.items():
            file = folder / f"{trunk}_{seed}.pth"
            torch.save(state, file)
            made.setdefault(trunk, []).append(str(file))
    return made


def test_every_option_of_a_perceptual_metric_changes_it(weights: Mapping[str, list[str]]) -> None:
    metrics = options_of("callbacks", "perception")["perception"]["metrics"]
    low_res, high_res = photo(2, 40)
    made = nn.functional.interpolate(low_res, scale_factor=2)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # torchvision's weights' own
    small = {  # after a ReLU: in a difference of what a convolution makes the mean cancels out
        "trunk": "torchvision/squeezenet1_1", "layers": ["features.1"], "normalize": True,
        "mean": None, "std": None,
    }  # fmt: skip
    seen: dict[str, str] = {}
    del metrics["dists"]  # its one option is VGG16's weights: tests/perception gives it a file
    for name, options in metrics.items():
        own = weights["alexnet" if name == "lpips" else "squeezenet1_1"]
        options |= {key: value for key, value in small.items() if key in options}
        options |= {"weights": own[0]}
        table: Table = {
            "trunk": to("torchvision/squeezenet1_0", also={"weights": weights["squeezenet1_0"][0]}),
            "weights": to(own[1]),
            "layers": to(["features.3"]),
            "layer_weights": to([0.5]),
            "distance": to("l1", "mse"),
            "mean": to([0.5, 0.5, 0.5], also={"std": std}),
            "std": to([0.5, 0.5, 0.5], also={"mean": mean}),
        }

        def observe(values: Options) -> str:
            return digest(instantiate(values)(made, high_res))

        check_every_option(f"callbacks/{name}", options, table, observe, seen)
