"""Each option of a task changes what a training of a moment leaves, logs or shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alternatives import Only, Options, Table, check_every_option, digest, options_of, to
from hydra.utils import instantiate
from PIL import Image
from tiny_runs import composed, node, train

from sr_experiments.models import ABPN, save_model
from sr_experiments.tasks import ClassificationTask
from sr_experiments.tasks.gradient_study import GradientStudy

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:epoch .*discriminator is saturated:UserWarning"),
]
CLASS = "_target_"


def test_every_option_of_regression_changes_the_training(
    photo_words: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    options = {"scale": 2, "channels": 4, "num_blocks": 1}
    config = {CLASS: "sr_experiments.models.ABPN", **options}
    teacher = str(tmp_path / "model.safetensors")
    save_model(ABPN(**options), config, Path(teacher))  # type: ignore[arg-type]
    taught = {"/teacher": teacher}
    table: Table = {
        "regularizers": to({"range": {CLASS: "sr_experiments.regularizers.KernelRange"}}),
        "teacher": to(teacher),
        "distillation.weight": to(0.5, given=taught),
        "distillation.loss": to({CLASS: "sr_experiments.losses.MSE"}, given=taught),
        "ema_decay": to(0.9),
    }
    stage = composed(*photo_words)
    check_every_option(
        "task/regression",
        node(stage, "task"),
        table,
        lambda made: train(stage, tmp_path, {"task": made}).looks,
    )


GAN = (
    "task=gan",
    "loss.terms.features.weight=0",
    "trainer.epochs=3",
    "discriminator=srgan",
    "discriminator.width=0.0625",
    "discriminator.pool=1",
    "discriminator.hidden=4",
    "optimizer.lr=0.01",
    "task.discriminator_optimizer.lr=0.01",
    "scheduler.stale_epochs=1",
    "task.discriminator_scheduler.stale_epochs=1",
)
JUDGED = Only("an option of the group discriminator, tested with it")
STEPS = Only("an option of the group optimizer, tested with it")
RATES = Only("an option of the group scheduler, tested with it")


def test_every_option_of_an_adversarial_training_changes_it(
    photo_words: tuple[str, ...], tmp_path: Path
) -> None:
    stage = composed(*GAN, *photo_words)
    options = node(stage, "task")
    groups = {"discriminator": JUDGED, "discriminator_optimizer": STEPS,
              "discriminator_scheduler": RATES}  # fmt: skip
    table: dict[str, Any] = {
        f"{group}.{key}": reason for group, reason in groups.items() for key in options[group]
    }
    table |= {
        "discriminator_optimizer.lr": to(0.005),
        "discriminator_scheduler.higher_is_better": to(True),
        "monitor": to("train/loss"),
        "discriminator_monitor": to("train/loss"),
        "warmup": to(0.4),
        "r1": to(5.0),
        "r1_every": to(2, given={"r1": 5.0}),
        "gradient_clip": to(1e-3),
        "best_by": to("val/ssim"),
        "ema_decay": to(0.9),
        "accumulate": to(2),
    }
    check_every_option(
        "task/gan", options, table, lambda made: train(stage, tmp_path, {"task": made}).looks
    )


def test_every_option_of_classification_changes_it(
    photo_words: tuple[str, ...], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows = ["file,glasses"]
    for index in range(24):
        pixels = random.integers(256, size=(12, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{index % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = (
        "task=classification", f"data.root={tmp_path}", "data.table=labels.csv", "data.size=12",
        "data.files=['{file}']", "data.val_share=0.2", "model=glasses_cnn", "model.channels=4",
        "model.num_blocks=1", "data.batch_size=8", "-data.patch", "-data.test",
        "trainer.epochs=1", photo_words[-1],
    )  # fmt: skip
    stage = composed(*words)

    def observe(made: Options) -> str:
        run = train(stage, tmp_path, {"task": made})
        task = run.parts.task
        assert isinstance(task, ClassificationTask)
        said = task.predict("train").said
        return digest(run.looks, task.higher_is_better, said)

    table = {"best_by": to("val/accuracy"), "unsure": to([0.0, 1.0])}
    check_every_option("task/classification", node(stage, "task"), table, observe)


STUDIES = {
    "enlarger_study": ("data.images=16",),
    "gradient_study": (
        "model=cifar_resnet", "data.images=40", "data.val_images=5", "data.batch_size=10",
        "data.size=8",
    ),
}  # fmt: skip
FREE = {"/distances": "none"}
STUDY: Table = {
    "distances": to("both"),
    "sketch_size": to(64, given={"distances": "sketch"}),
    "seed": to(2, given={"policy.shuffle": "batches"}),
    "phases": to(2),
    "metric": to({CLASS: "sr_experiments.studies.measures.MeanColour"}),
    "keep": to([[[0.5, 1.0]]], given=FREE),
    "shuffle": to("batches"),
    "policy.also": to(
        {
            "colour": {
                CLASS: "sr_experiments.studies.policy.Condition",
                "metric": {CLASS: "sr_experiments.studies.measures.MeanColour"},
                "keep": [[[0.0, 0.6]]],
            }
        },
        given={**FREE, "shuffle": "pictures"},
    ),
}


@pytest.mark.parametrize("name", list(STUDIES))
def test_every_option_of_a_study_changes_it(
    name: str, photo_words: tuple[str, ...], cifar10_zip: Path, tmp_path: Path
) -> None:
    words = [f"task={name}", *STUDIES[name], "trainer.epochs=3", "-data.steps_per_epoch"]
    if name == "gradient_study":
        words += [f"data.root={cifar10_zip}", "-data.test", "-data.patch"]
    stage = composed(*words, photo_words[-1])

    def observe(made: Options) -> str:
        run = train(stage, tmp_path, {"task": made})
        task = run.parts.task
        assert isinstance(task, GradientStudy)
        assert task.schedule is not None
        phases = [task.schedule.phase(epoch) for epoch in range(3)]
        return digest(run.looks, task.rows, phases)

    check_every_option(f"task/{name}", node(stage, "task"), STUDY, observe)


def term(options: Options) -> str:
    torch.manual_seed(3)
    return digest(instantiate(options)(ABPN(2, channels=4, num_blocks=1)))


def test_every_option_of_a_regulariser_changes_its_term() -> None:
    for name, options in options_of("task/regularizers", "kernel_range").items():
        check_every_option(f"regularizers/{name}", options, {}, term)
