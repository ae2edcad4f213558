"""What a classifier says of a set, and what follows from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from sr_experiments.functional.probability import UNSURE, certainty, said
from sr_experiments.metrics import classification_scores
from sr_experiments.spreadsheet import csv_text

SUSPICIOUS = 0.2  # a label that the network gives less than this is worth a look


@dataclass(frozen=True)
class Suspect:
    """A picture whose label the network does not believe.

    Attributes:
        part: Where it is from.
        index: Its place there.
        name: Of the picture.
        label: The class that its label says.
        probability: Of that class.
    """

    part: str
    index: int
    name: str
    label: str
    probability: float


@dataclass(frozen=True)
class Predictions:
    """Probabilities of a set of labelled pictures.

    Attributes:
        names: Of the pictures.
        labels: (N,) int64.
        probabilities: (N, classes).
        loss: Of the whole set.
        classes: Their names.
        unsure: Probabilities between these two are neither yes nor no.
    """

    names: Sequence[str]
    labels: Tensor
    probabilities: Tensor
    loss: float
    classes: Sequence[str]
    unsure: tuple[float, float]

    @cached_property
    def certainty(self) -> Tensor:
        """(N,) what pictures are sorted by; see `sr_experiments.functional.probability`."""
        return certainty(self.probabilities)

    @cached_property
    def said(self) -> list[str]:
        """What the network says of each picture: a class, or ``unsure``."""
        return said(self.probabilities, self.classes, self.unsure)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Loss, every score, and the share of pictures that it is unsure of."""
        share = self.said.count(UNSURE) / len(self.said)
        scores = classification_scores(self.probabilities, self.labels)
        return {"loss": self.loss, **scores, "unsure_share": share}

    def of_label(self) -> Tensor:
        """(N,) probability of the class that the label says."""
        return self.probabilities.gather(1, self.labels[:, None])[:, 0]


def suspects(parts: Mapping[str, Predictions]) -> list[Suspect]:
    """The likeliest label errors: what the network is surest that the label has wrong.

    Args:
        parts: By name.

    Returns:
        Every picture whose label gets less than ``SUSPICIOUS``, the likeliest error first.
    """
    return sorted(_suspects(parts), key=lambda found: found.probability)


def _suspects(parts: Mapping[str, Predictions]) -> Iterator[Suspect]:
    for part, predictions in parts.items():
        for index, value in enumerate(predictions.of_label().tolist()):
            if value < SUSPICIOUS:
                label = predictions.classes[int(predictions.labels[index])]
                yield Suspect(part, index, predictions.names[index], label, value)


def as_csv(parts: Mapping[str, Predictions]) -> str:
    """A row for each picture of each part: what it is, what the label says, what we say."""
    rows = [["part", "file", "label", "probability", "said"]]
    for part, predictions in parts.items():
        for index, name in enumerate(predictions.names):
            label = predictions.classes[int(predictions.labels[index])]
            value = f"{float(predictions.certainty[index]):.6f}"
            rows.append([part, name, label, value, predictions.said[index]])
    return csv_text(rows)
