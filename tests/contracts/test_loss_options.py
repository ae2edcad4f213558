"""Each option of a loss changes its value or its gradient on two photos."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from alternatives import Options, check_every_option, digest, names, options_of, photo, to
from hydra.utils import instantiate
from torch import Tensor, nn
from torchvision.models import get_model

from sr_experiments.losses import GeneratorLoss, features
from sr_experiments.losses.trunks import Trunk, load_trunk

TRUNK, OTHER_TRUNK = "squeezenet1_1", "squeezenet1_0"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # torchvision's weights' own
TRUNKS: dict[tuple[Any, ...], Trunk] = {}
WHATEVER = {"normalize": True}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Random weights of small trunks: one twice, one otherwise."""
    made = {}
    for seed, (key, trunk) in enumerate(
        {"own": TRUNK, "second": TRUNK, "of another": OTHER_TRUNK}.items()
    ):
        torch.manual_seed(seed)
        file = tmp_path_factory.mktemp("trunks") / f"{key}.pth"
        torch.save(get_model(trunk).state_dict(), file)
        made[key] = str(file)
    return made


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen trunks are shared: reading one takes longer than looking through it."""

    def shared(trunk: str, layers: list[str], weights: str, normalization: Any = None) -> Trunk:
        key = (trunk, *layers, weights, normalization)
        if key not in TRUNKS:
            TRUNKS[key] = load_trunk(trunk, layers, weights, normalization)
        return TRUNKS[key]

    monkeypatch.setattr(features, "load_trunk", shared)


def on_small_trunks(options: Options, files: Mapping[str, str]) -> Options:
    """The same loss in the first layers of a small trunk, which needs no download."""
    made = {
        key: on_small_trunks(value, files) if isinstance(value, dict) else value
        for key, value in options.items()
    }
    if "trunk" in made:
        weights = made["layer_weights"]
        made |= {
            "trunk": f"torchvision/{TRUNK}",
            "layers": ["features.0", "features.3"],
            "layer_weights": weights and weights[:2],
            "weights": files["own"],
        }
    return made


def seen(options: Options) -> str:
    """Terms and gradients of a loss."""
    loss: nn.Module = instantiate(options, _convert_="all")
    if getattr(loss, "classifies", False):
        logits = torch.tensor([[0.5], [-1.0], [0.25]] if "positive_weight" in options else
                              [[0.5, -1.0, 0.25], [2.0, 1.0, -3.0], [0.0, 0.5, 1.0]])  # fmt: skip
        logits.requires_grad_()
        terms = {"": loss(logits, torch.tensor([0, 1, 1]))}
        return derived(terms, logits)
    low_res, target = photo(2, 12)
    prediction = nn.functional.interpolate(low_res, scale_factor=2).requires_grad_()
    extra = [low_res] if getattr(loss, "needs_low_res", False) else []
    value: Any = loss(prediction, target, *extra)
    terms = dict(value) if isinstance(value, Mapping) else {"": value}
    if isinstance(loss, GeneratorLoss):
        logits = prediction.mean((1, 2, 3))[:, None]  # what a discriminator might say
        real = target.mean((1, 2, 3))[:, None]
        terms["adversarial"] = loss.adversarial_weight * loss.adversarial.generator(real, logits)
        terms |= loss.adversarial.discriminator(real, logits)
    return derived(terms, prediction)


def derived(terms: Mapping[str, Tensor], inputs: Tensor) -> str:
    torch.stack(list(terms.values())).sum().backward()
    assert inputs.grad is not None
    return digest(list(terms.values()), inputs.grad)


@pytest.mark.parametrize("name", names("loss"))
def test_every_option_of_a_loss_changes_its_terms(name: str, files: dict[str, str]) -> None:
    table = {
        "trunk": to(f"torchvision/{OTHER_TRUNK}", also={"weights": files["of another"]}),
        "weights": to(files["second"]),
        "layers": to(["features.1", "features.3"]),
        "layer_weights": to([0.25, 0.5]),
        "distance": to("l1", "mse"),
        "mean": to([0.5, 0.5, 0.5], also={"std": STD}, given=WHATEVER),
        "std": to([0.5, 0.5, 0.5], also={"mean": MEAN}, given=WHATEVER),
        "kind": to("hinge"),
        "label_smoothing": to(0.1),
        "positive_weight": to(3.0),
        "class_weights": to([1.0, 2.0, 3.0]),
        "negatives": to(1),
        "loss": to(
            {"_target_": "sr_experiments.losses.L1"}, {"_target_": "sr_experiments.losses.MSE"}
        ),
    }
    options = on_small_trunks(options_of("loss", name), files)
    check_every_option(f"loss/{name}", options, table, seen)
