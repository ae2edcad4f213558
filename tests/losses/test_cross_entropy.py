import math

import pytest
import torch
import torch.nn.functional as F

from sr_experiments.errors import UserError
from sr_experiments.losses import BinaryCrossEntropy, CrossEntropy

LOGITS = torch.tensor([[math.log(3)], [0.0], [-math.log(4)]])  # probabilities 3/4, 1/2, 1/5
LABELS = torch.tensor([1, 0, 1])


def test_binary_cross_entropy_by_hand() -> None:
    by_hand = -(math.log(0.75) + math.log(0.5) + math.log(0.2)) / 3
    assert BinaryCrossEntropy()(LOGITS, LABELS).item() == pytest.approx(by_hand)
    weighted = -(2 * math.log(0.75) + math.log(0.5) + 2 * math.log(0.2)) / 3
    assert BinaryCrossEntropy(positive_weight=2)(LOGITS, LABELS).item() == pytest.approx(weighted)
    smooth = -sum(
        right * math.log(p) + (1 - right) * math.log(1 - p)
        for right, p in ((0.95, 0.75), (0.05, 0.5), (0.95, 0.2))
    )
    loss = BinaryCrossEntropy(label_smoothing=0.1)(LOGITS, LABELS)
    assert loss.item() == pytest.approx(smooth / 3)


def test_a_sigmoid_neuron_and_two_softmax_neurons_lose_alike() -> None:
    two = torch.cat([torch.zeros(3, 1), LOGITS], dim=1)
    assert torch.allclose(CrossEntropy()(two, LABELS), BinaryCrossEntropy()(LOGITS, LABELS))


def test_class_weights_are_a_weighted_mean() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])
    weights = [1.0, 2.0, 4.0]
    each = -F.log_softmax(logits, 1)[torch.arange(5), labels]
    factor = torch.tensor(weights)[labels]
    expected = (each * factor).sum() / factor.sum()
    assert torch.allclose(CrossEntropy(class_weights=weights)(logits, labels), expected)


def test_a_loss_names_the_one_that_fits_the_network() -> None:
    with pytest.raises(UserError, match="loss=cross_entropy"):
        BinaryCrossEntropy()(torch.zeros(2, 2), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="loss=binary_cross_entropy"):
        CrossEntropy()(torch.zeros(2, 1), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="2 values for 3 classes"):
        CrossEntropy(class_weights=[1, 2])(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="label_smoothing"):
        CrossEntropy(label_smoothing=1.0)
    with pytest.raises(UserError, match="positive_weight"):
        BinaryCrossEntropy(positive_weight=0.0)
