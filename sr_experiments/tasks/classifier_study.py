"""The mini-batch study of a classifier, as in the paper."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers import Classifier
from sr_experiments.tasks.gradient_study import GradientStudy, StudyData

__all__ = ["ClassifierStudy"]


class LabelledStudyData(StudyData, Protocol):
    """Pictures with labels.

    Attributes:
        classes: Names.
        size: Height and width.
    """

    classes: Sequence[str]
    size: int

    def val_steps(self) -> int:
        """Batches of what each epoch is scored on."""

    def val_batch(self, index: int) -> tuple[Tensor, Tensor]:
        """One of them, and its classes."""

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What the end is scored on, and its classes."""


class ClassifierStudy(GradientStudy):
    """Scores are accuracies; see `GradientStudy`."""

    metric = "val/accuracy"
    network: Classifier
    data: LabelledStudyData

    def check(self, choices: Mapping[str, str]) -> None:
        """See `GradientStudy`."""
        if not isinstance(self.network, Classifier):
            raise UserError(
                f"model={choices['model']} is no classifier: name one, such as model=cifar_resnet, "
                "or task=enlarger_study"
            )
        if not getattr(self.loss, "classifies", False):
            raise UserError(f"loss={choices['loss']} compares pictures: add loss=cross_entropy")
        if not hasattr(self.data, "val_batch"):
            raise UserError(f"data={choices['data']} has no labels: add data=cifar10")

    def setup(self, stage: str) -> None:
        """Sort the pictures, and read the weights that the network asks for, if any."""
        super().setup(stage)
        self.network.load_pretrained()

    def outcome(self, config: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """The network, described as one that has its weights; see `Task`."""
        return self.network, self.network.described(dict(config))

    def noise(self) -> tuple[Tensor, Tensor]:
        """See `GradientStudy`."""
        return torch.rand(2, 3, self.data.size, self.data.size), torch.tensor([0, 1])

    def val_dataloader(self) -> Iterable[int]:
        """One entry per batch of validation pictures."""
        return range(self.data.val_steps())

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Score one of them."""
        images, labels = self.data.val_batch(index)
        labels = labels.to(self.device)
        logits = self(images)
        right = (self.network.probabilities(logits).argmax(1) == labels).float().mean()
        values = {"val/accuracy": right, "val/loss": self.loss(logits, labels)}
        for name, value in values.items():
            self.log(name, value, on_epoch=True, batch_size=len(labels), prog_bar=True)

    def test(self) -> dict[str, float]:
        """Accuracy on all test pictures."""
        right = count = 0
        for images, labels in self.data.test_batches():
            predicted = self.network.probabilities(self(images.cpu())).argmax(1)
            right += int((predicted == labels.cpu()).sum())
            count += len(labels)
        return {"accuracy": right / count}
