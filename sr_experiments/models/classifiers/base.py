"""What every classifier is: a module that knows its classes and the size of its pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError


class Classifier(nn.Module):
    """Base of all classifiers: ``forward(images) -> logits``.

    Args:
        classes: Names, at least two.
        size: Height and width of the pictures.
        outputs: One logit, of the second of two classes, or a logit for each class; None is one
            for two classes and else one for each.

    Attributes:
        fresh: True until trained weights are loaded.

    Shape:
        (N, 3, size, size) in [0, 1] to (N, outputs).

    Raises:
        UserError: The values contradict each other.
    """

    def __init__(self, classes: Sequence[str], size: int, outputs: int | None = None) -> None:
        super().__init__()
        self.classes = tuple(str(name) for name in classes)
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise UserError(f"data.classes={list(classes)}: name at least two, all different")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise UserError(f"data.size={size} is not a whole number from 1")
        self.size = size
        count = len(self.classes)
        self.outputs = (1 if count == 2 else count) if outputs is None else outputs
        if self.outputs not in (count, 1 if count == 2 else count):
            raise UserError(
                f"model.outputs={outputs}: {count} classes need "
                + ("1 (a sigmoid) or 2 (a softmax)" if count == 2 else str(count))
            )
        self.fresh = True

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probability of each class, (N, classes), from (N, outputs)."""
        if self.outputs > 1:
            return logits.softmax(1)
        second = logits.sigmoid()
        return torch.cat([1 - second, second], dim=1)

    def load_pretrained(self) -> None:
        """Read weights that were trained on other pictures, where the options ask for some."""

    def described(self, options: dict[str, object]) -> dict[str, object]:
        """The options that build the network for weights of its own, which ask for no others."""
        return options
