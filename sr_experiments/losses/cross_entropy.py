"""Criteria of classification: with one sigmoid neuron, and with one neuron for each class.

Both take logits: the logarithm of a sigmoid or a softmax is taken in one stable step.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError

__all__ = ["BinaryCrossEntropy", "CrossEntropy"]


class BinaryCrossEntropy(nn.Module):
    """``-t log(s) - (1 - t) log(1 - s)`` of a sigmoid ``s``, mean over the pictures.

    Args:
        positive_weight: Factor on the first term; 2 is as if each picture of the second class
            came twice. None: 1.
        label_smoothing: Share of a picture's label that goes to the other class.

    Raises:
        UserError: An option is out of range.
    """

    classifies = True  # it compares with labels, not with pictures

    def __init__(self, positive_weight: float | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if positive_weight is not None and not positive_weight > 0:
            raise UserError(f"loss.positive_weight={positive_weight} is not above 0")
        _check_smoothing(label_smoothing)
        self.positive_weight, self.label_smoothing = positive_weight, label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A scalar.

        Args:
            logits: (N, 1).
            labels: (N,) int64, 0 or 1.

        Raises:
            UserError: The network has another output.
        """
        if logits.shape[1] != 1:
            raise UserError(
                f"loss=binary_cross_entropy is for one sigmoid neuron, and the network has "
                f"{logits.shape[1]}: add loss=cross_entropy"
            )
        target = labels.to(logits.dtype)
        target = target * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        weight = self.positive_weight
        return F.binary_cross_entropy_with_logits(
            logits[:, 0], target, pos_weight=None if weight is None else logits.new_tensor(weight)
        )


class CrossEntropy(nn.Module):
    """``-log`` of the softmax of the right class, mean over the pictures.

    Args:
        class_weights: Factor of each class; None: 1. The mean is then the weighted one.
        label_smoothing: Share of a picture's label that is spread over all classes.

    Raises:
        UserError: An option is out of range.
    """

    classifies = True

    def __init__(
        self, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        if class_weights is not None and not all(weight > 0 for weight in class_weights):
            raise UserError(f"loss.class_weights={list(class_weights)} are not all above 0")
        _check_smoothing(label_smoothing)
        self.class_weights = None if class_weights is None else list(class_weights)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A scalar.

        Args:
            logits: (N, classes).
            labels: (N,) int64.

        Raises:
            UserError: The network has one neuron, or another number than there are weights.
        """
        if logits.shape[1] == 1:
            raise UserError(
                "loss=cross_entropy needs a neuron for each class, and the network has one: add "
                "loss=binary_cross_entropy or model.outputs=2"
            )
        weights = self.class_weights
        if weights is not None and len(weights) != logits.shape[1]:
            raise UserError(
                f"loss.class_weights has {len(weights)} values for {logits.shape[1]} classes"
            )
        return F.cross_entropy(
            logits,
            labels,
            None if weights is None else torch.tensor(weights, device=logits.device).to(logits),
            label_smoothing=self.label_smoothing,
        )


def _check_smoothing(value: float) -> None:
    if not 0 <= value < 1:
        raise UserError(f"loss.label_smoothing={value} is not a share from 0 and below 1")
