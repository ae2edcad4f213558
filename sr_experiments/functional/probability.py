"""From probabilities of classes to words."""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["UNSURE", "certainty", "said"]

UNSURE = "unsure"


def certainty(probabilities: Tensor) -> Tensor:
    """Probability of the second of two classes; of more, that of the most probable one.

    Shape:
        (N, classes) to (N,).
    """
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.amax(1)


def said(probabilities: Tensor, classes: Sequence[str], unsure: tuple[float, float]) -> list[str]:
    """The most probable class of each picture, or ``unsure``.

    Args:
        probabilities: (N, classes).
        classes: Their names.
        unsure: Of two classes, pictures are unsure whose second class is between the two, ends
            included; of more, those whose most probable class is below the second.

    Example:
        >>> import torch
        >>> said(torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]]), ["no", "yes"], (0.4, 0.6))
        ['no', 'unsure', 'yes']
    """
    low, high = unsure
    words = []
    for value, index in zip(
        certainty(probabilities).tolist(), probabilities.argmax(1).tolist(), strict=True
    ):
        doubtful = low <= value <= high if len(classes) == 2 else value < high
        words.append(UNSURE if doubtful else classes[index])
    return words
