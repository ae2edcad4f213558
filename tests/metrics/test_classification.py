"""Against scikit-learn, and by hand where it has no such score."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from sr_experiments.metrics import CLASSIFICATION_METRICS, classification_scores


def test_two_classes_score_as_scikit_learn_says() -> None:
    random = np.random.default_rng(1)
    labels = (random.random(300) < 0.2).astype(int)
    second = np.clip(0.3 * labels + random.random(300) * 0.7, 0, 1)
    ours = classification_scores(
        torch.tensor(np.stack([1 - second, second], 1)), torch.tensor(labels)
    )
    chosen = second >= 0.5
    assert tuple(ours) == CLASSIFICATION_METRICS
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(labels, chosen))
    assert ours["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(labels, chosen)
    )
    assert ours["f1"] == pytest.approx(metrics.f1_score(labels, chosen))
    assert ours["auroc"] == pytest.approx(metrics.roc_auc_score(labels, second))


def test_more_classes_score_as_scikit_learn_says() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(3, size=200)
    rows = random.random((200, 3)) + 0.7 * np.eye(3)[labels]
    rows /= rows.sum(1, keepdims=True)
    ours = classification_scores(torch.tensor(rows), torch.tensor(labels))
    chosen = rows.argmax(1)
    assert ours["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(labels, chosen)
    )
    assert ours["f1"] == pytest.approx(metrics.f1_score(labels, chosen, average="macro"))
    expected = metrics.roc_auc_score(labels, rows, multi_class="ovr", average="macro")
    assert ours["auroc"] == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    # Bin of 0.9: three of four are so, off by 0.15. Bin of 0.2: one of two is so, off by 0.3.
    second = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.2, 0.2])
    labels = torch.tensor([1, 1, 1, 0, 1, 0])
    scores = classification_scores(torch.stack([1 - second, second], 1), labels)
    assert scores["calibration_error"] == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.3, abs=1e-6)


def test_always_saying_the_frequent_class_is_balanced_to_a_half() -> None:
    second = torch.full((200,), 0.1)
    labels = (torch.arange(200) < 35).long()
    scores = classification_scores(torch.stack([1 - second, second], 1), labels)
    assert scores["accuracy"] == pytest.approx(165 / 200)
    assert scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scores["f1"] == 0
