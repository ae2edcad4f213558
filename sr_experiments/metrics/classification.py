"""Scores of a classifier on a whole set, by torchmetrics.

``accuracy``: share of pictures whose most probable class is right. ``balanced_accuracy``: mean
over the classes of the share of each that is found, so that always saying the frequent class
scores 1/classes. ``f1``: of the second of two classes; over more, the mean of each class's.
``auroc``: probability that a picture of the second class gets a higher value than one of the
first (over more classes, the mean of each against the rest). ``calibration_error``: mean distance
between the probability and the frequency, over 15 bins of equal width, weighted by what is in
them (of the second class; over more, of the most probable one).
"""

import torch
from torch import Tensor

__all__ = ["CLASSIFICATION_METRICS", "classification_scores"]

CLASSIFICATION_METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc", "calibration_error")


def classification_scores(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Every score of a set in which each class occurs.

    Args:
        probabilities: (N, classes), each row adding up to 1.
        labels: (N,) int64.

    Returns:
        By the names in ``CLASSIFICATION_METRICS``.
    """
    from torchmetrics.functional import classification as scores

    count = probabilities.shape[1]
    chosen = probabilities.argmax(1)
    if count == 2:
        second = probabilities[:, 1].contiguous()
        chosen = (second >= 0.5).long()  # a probability of exactly a half says yes
        f1 = scores.binary_f1_score(chosen, labels)
        auroc = scores.binary_auroc(second, labels)
        calibration = scores.binary_calibration_error(second, labels, n_bins=15)
    else:
        f1 = scores.multiclass_f1_score(chosen, labels, count, average="macro")
        auroc = scores.multiclass_auroc(probabilities, labels, count, average="macro")
        calibration = scores.multiclass_calibration_error(probabilities, labels, count, n_bins=15)
    values = {
        "accuracy": (chosen == labels).float().mean(),
        "balanced_accuracy": scores.multiclass_accuracy(chosen, labels, count, average="macro"),
        "f1": f1,
        "auroc": auroc,
        "calibration_error": calibration,
    }
    return {name: float(torch.as_tensor(value)) for name, value in values.items()}
