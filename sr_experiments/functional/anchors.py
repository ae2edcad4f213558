"""Anchored regression: a matrix per anchor, learned on the samples that point the same way.

Samples and anchors are rows of length 1, so that their product is their correlation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["apply_nearest", "nearest_anchor", "nearest_samples", "ridge"]

ROWS = 8192  # samples compared with all anchors at a time: 32 MiB of float32 with 1,024 anchors
ANCHORS = 8  # anchors compared with all samples at a time


def ridge(features: Tensor, targets: Tensor, strength: float) -> Tensor:
    """The matrix ``P`` that minimises ``|targets - features P^T|^2 + strength |P|^2``.

    Args:
        features: (..., samples, inputs).
        targets: (..., samples, outputs).
        strength: Above 0; no intercept is fitted.

    Returns:
        (..., outputs, inputs), computed in float64, of the dtype of ``features``.

    Example:
        >>> ridge(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [6.0]]), 10.0)
        tensor([[1.]])
    """
    rows, wanted = features.double(), targets.double()
    gram = rows.mT @ rows
    gram.diagonal(dim1=-2, dim2=-1).add_(strength)
    solved: Tensor = torch.linalg.solve(gram, rows.mT @ wanted)
    return solved.mT.to(features.dtype)


def nearest_samples(samples: Tensor, anchors: Tensor, count: int) -> Iterator[tuple[int, Tensor]]:
    """The samples that correlate most with each anchor.

    Args:
        samples: (N, K), rows of length 1.
        anchors: (A, K), rows of length 1.
        count: Samples per anchor, at most N.

    Yields:
        Number of the first anchor of a few, and (few, count) indices of samples, in no order.
    """
    for first in range(0, len(anchors), ANCHORS):
        correlation = anchors[first : first + ANCHORS] @ samples.T
        yield first, correlation.topk(count, dim=1, sorted=False).indices


def nearest_anchor(rows: Tensor, anchors: Tensor) -> Tensor:
    """Index of the anchor that each row is most parallel to, whatever its sign and length.

    Args:
        rows: (N, K).
        anchors: (A, K), rows of length 1.

    Returns:
        (N,) int64.

    Example:
        >>> nearest_anchor(torch.tensor([[-9.0, 1.0], [1.0, 2.0]]), torch.eye(2)).tolist()
        [0, 1]
    """
    parts = [(part @ anchors.T).abs().argmax(dim=1) for part in torch.split(rows, ROWS)]
    return torch.cat(parts)


def apply_nearest(rows: Tensor, anchors: Tensor, matrices: Tensor) -> Tensor:
    """Each row through the matrix of its nearest anchor.

    Rows of one anchor are multiplied together: as many products as anchors, none per row.

    Args:
        rows: (N, K).
        anchors: (A, K), rows of length 1.
        matrices: (A, D, K).

    Returns:
        (N, D).
    """
    if rows.is_meta:  # nothing to choose by; any choice has this shape and this many operations
        nearest_anchor(rows, anchors)
        return rows @ matrices[0].T
    nearest = nearest_anchor(rows.detach(), anchors)
    order = nearest.argsort(stable=True)
    counts = nearest.bincount(minlength=len(anchors)).tolist()
    groups = torch.split(rows[order], counts)
    done = [group @ matrix.T for group, matrix in zip(groups, matrices, strict=True) if len(group)]
    result: Tensor = torch.cat(done)[order.argsort()]
    return result
