"""Each option of a study's metrics changes the order of pictures, of its policies the batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alternatives import Options, Table, check_every_option, digest, names, options_of, to
from hydra.utils import instantiate
from omegaconf import OmegaConf
from skimage import data
from torch import Tensor
from torchvision.models import alexnet, get_model

from sr_experiments.configuration.compose import compose
from sr_experiments.studies.measures import in_order, measured
from sr_experiments.studies.policy import Policy, Schedule

TASK = "task=gradient_study"
CLASS = "_target_"
MEASURES = "sr_experiments.studies.measures"
EPOCHS, STEPS, BATCH = 6, 5, 2
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # torchvision's weights' own


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Places of a cat, (36, 3, 64, 64) uint8."""
    corners = [(y, x) for y in range(5, 236, 75) for x in range(0, 387, 43)]
    crops = [data.chelsea()[y : y + 64, x : x + 64] for y, x in corners]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def file_of(state: dict[str, Tensor], path: Path) -> str:
    torch.save(state, path)
    return str(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By trunk two files of random weights; of AlexNet what LPIPS looks at."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in alexnet().state_dict().items() if "features" in k}
    made: dict[str, list[str]] = {"alexnet": [], "squeezenet1_1": [], "squeezenet1_0": []}
    for seed in range(2):
        torch.manual_seed(seed)
        noise = {key: torch.randn(shape) / 30 for key, shape in shapes.items()}
        made["alexnet"].append(file_of(noise, folder / f"alexnet_{seed}.pth"))
        for trunk in ("squeezenet1_1", "squeezenet1_0"):
            state = get_model(trunk).state_dict()
            made[trunk].append(file_of(state, folder / f"{trunk}_{seed}.pth"))
    return made


@pytest.mark.parametrize("name", names("task/metric"))
def test_every_option_of_a_metric_changes_what_is_measured(
    name: str, pictures: Tensor, weights: dict[str, list[str]]
) -> None:
    own = weights["alexnet" if name == "lpips" else "squeezenet1_1"]
    values = {"trunk": "torchvision/squeezenet1_1", "layers": ["features.0"], "weights": own[0]}
    options = options_of("task/metric", name, seed=1, **values)
    table: Table = {
        "trunk": to("torchvision/squeezenet1_0", also={"weights": weights["squeezenet1_0"][0]}),
        "layers": to(["features.3"]),
        "weights": to(own[1]),
        "mean": to([0.5, 0.5, 0.5], also={"std": STD}),
        "std": to([0.5, 0.5, 0.5], also={"mean": MEAN}),
    }

    def observe(made: Options) -> str:
        return digest(measured(instantiate(made), pictures[:12], None))

    check_every_option(f"metric/{name}", options, table, observe)


@pytest.mark.parametrize("name", names("task/policy"))
def test_every_option_of_a_policy_changes_the_batches(name: str, pictures: Tensor) -> None:
    options = OmegaConf.to_container(compose([TASK, f"task/policy={name}"]).task.policy)
    assert isinstance(options, dict)
    other = {CLASS: f"{MEASURES}.Shuffled"}
    for condition in options["also"].values():
        if condition["metric"][CLASS].endswith("LPIPS"):
            condition["metric"] = {CLASS: f"{MEASURES}.Edges"}
    table: Table = {
        "keep": to([[[0.3, 1.0]]]),
        "shuffle": to("none", "batches", given={"also": {}}),
        "metric": to(other),
        "also": to(
            {
                "colour": {
                    CLASS: "sr_experiments.studies.policy.Condition",
                    "metric": other,
                    "keep": [[[0.0, 0.6]]],
                }
            },
            given={"shuffle": "pictures"},
        ),
    }

    def order(measure: Callable[[Tensor], Tensor]) -> Tensor:
        return in_order(measured(measure, pictures, None))

    def observe(made: Options) -> str:
        policy: Policy = instantiate(made, _convert_="all")
        schedule = Schedule(
            order(instantiate({CLASS: f"{MEASURES}.Intensity"})),
            BATCH,
            policy,
            epochs=EPOCHS,
            steps=STEPS,
            others={key: order(condition.metric) for key, condition in policy.also.items()},
        )
        return digest([schedule.pictures(step) for step in range(EPOCHS * STEPS)])

    check_every_option(f"policy/{name}", drawn(options), table, observe)


def drawn(options: Options) -> Options:
    """The same with metrics that have no options of their own, which are tested above."""
    for condition in options["also"].values():
        metric: dict[str, Any] = condition["metric"]
        condition["metric"] = {CLASS: metric[CLASS]}
    return options
