"""Anchored regression against scikit-learn and against plain loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge

from sr_experiments.functional.anchors import (
    ROWS,
    apply_nearest,
    nearest_anchor,
    nearest_samples,
    ridge,
)


def rows(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def test_ridge_is_scikit_learns_without_an_intercept() -> None:
    features, targets = rows(2 * 40, 6).view(2, 40, 6), rows(2 * 40, 3, seed=1).view(2, 40, 3)
    ours = ridge(features, targets, 0.7)
    for index in range(2):
        theirs = Ridge(alpha=0.7, fit_intercept=False).fit(features[index], targets[index])
        assert np.allclose(ours[index], theirs.coef_, atol=1e-6)


def test_ridge_has_an_answer_where_samples_are_fewer_than_features() -> None:
    theirs = Ridge(alpha=0.1, fit_intercept=False, solver="svd").fit(rows(4, 9), rows(4, 2))
    assert np.allclose(ridge(rows(4, 9), rows(4, 2), 0.1), theirs.coef_, atol=1e-5)


def test_nearest_samples_are_the_first_of_all_sorted_by_correlation() -> None:
    samples, anchors = F.normalize(rows(500, 5), dim=1), F.normalize(rows(19, 5, seed=1), dim=1)
    found = {}
    for first, indices in nearest_samples(samples, anchors, 7):
        for row, chosen in enumerate(indices.tolist()):
            found[first + row] = set(chosen)
    correlation = anchors.numpy() @ samples.numpy().T
    assert found == {
        row: set(np.argsort(-correlation[row])[:7].tolist()) for row in range(len(anchors))
    }


def test_the_nearest_anchor_may_point_the_other_way() -> None:
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert nearest_anchor(torch.tensor([[0.1, -3.0], [-2.0, 1.9]]), anchors).tolist() == [1, 0]


@pytest.mark.parametrize("count", [1, 50, ROWS + 3])
def test_each_row_goes_through_the_matrix_of_its_own_anchor(count: int) -> None:
    vectors, anchors = rows(count, 4), F.normalize(rows(6, 4, seed=1), dim=1)
    matrices = rows(6 * 3, 4, seed=2).view(6, 3, 4)
    ours = apply_nearest(vectors, anchors, matrices)
    angles = np.abs(vectors.numpy() @ anchors.numpy().T)
    theirs = np.einsum("ndk,nk->nd", matrices.numpy()[angles.argmax(1)], vectors.numpy())
    assert np.allclose(ours, theirs, atol=1e-5)


def test_shapes_are_known_where_there_are_no_values() -> None:
    with torch.device("meta"):
        out = apply_nearest(torch.empty(5, 4), torch.empty(6, 4), torch.empty(6, 3, 4))
    assert out.shape == (5, 3)
