import numpy as np
import pytest
import torch
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.optim import ExponentialMovingAverage


def set_weight(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def test_average_is_worked_by_hand_while_the_decay_warms_up() -> None:
    model = nn.Linear(1, 1)
    average = ExponentialMovingAverage(model, decay=0.2)
    for value in (1.0, 2.0, 5.0):
        set_weight(model, value)
        average.update_parameters(model)
    # the first update copies; then decay min(0.2, 2 / 11) and min(0.2, 3 / 12)
    second = 1.0 * 2 / 11 + 2.0 * 9 / 11
    assert average.module.weight.item() == pytest.approx(second * 0.2 + 5.0 * 0.8)


def test_long_average_forgets_the_random_first_weights() -> None:
    model = nn.Linear(1, 1)
    average = ExponentialMovingAverage(model, decay=0.999)
    set_weight(model, 100.0)
    average.update_parameters(model)
    set_weight(model, 1.0)
    for _ in range(100):
        average.update_parameters(model)
    # without the warm-up 99 * 0.999^100 = 89.6 of the start would be left
    assert average.module.weight.item() == pytest.approx(1.0, abs=1e-3)


def test_ecnusrs_decay_is_tensorflows_average() -> None:
    """PureConvSR: decay 0.999 with the count of updates, as ``tf.train.ExponentialMovingAverage``.

    Once (1 + n) / (10 + n) has passed 0.999, a jump is forgotten as 0.999^n.
    """
    model = nn.Linear(1, 1)
    average = ExponentialMovingAverage(model, decay=0.999)
    updates = 9_300
    values = np.sin(np.arange(updates) / 50) + 2
    expected = values[0]
    for count, value in enumerate(values):
        set_weight(model, value)
        average.update_parameters(model)
        if count:
            decay = min(0.999, (1 + count) / (10 + count))
            expected = decay * expected + (1 - decay) * value
    assert average.module.weight.item() == pytest.approx(expected, abs=1e-4)
    set_weight(model, 10.0)
    for _ in range(693):  # 0.999^693 is a half
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx((10 + expected) / 2, abs=1e-2)


def test_buffers_are_averaged_too() -> None:
    model = nn.BatchNorm2d(1)
    average = ExponentialMovingAverage(model, decay=0.5)
    average.update_parameters(model)
    assert model.running_mean is not None
    model.running_mean.fill_(11.0)
    average.update_parameters(model)
    assert average.module.running_mean.item() == pytest.approx(11 * 9 / 11)


def test_average_is_neither_trained_nor_put_into_training_mode() -> None:
    average = ExponentialMovingAverage(nn.Sequential(nn.Linear(1, 1), nn.Dropout()), decay=0.9)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    nn.ModuleList([average]).train()
    assert not any(module.training for module in average.modules())


def test_resumed_average_goes_on_to_the_same_numbers() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    weights = torch.randn(20, 3, 3)

    def update(average: ExponentialMovingAverage, steps: range) -> None:
        for step in steps:
            with torch.no_grad():
                model.weight.copy_(weights[step])
            average.update_parameters(model)

    undisturbed = ExponentialMovingAverage(model, decay=0.9)
    update(undisturbed, range(20))
    first = ExponentialMovingAverage(model, decay=0.9)
    update(first, range(7))
    second = ExponentialMovingAverage(nn.Linear(3, 3), decay=0.9)
    second.load_state_dict(first.state_dict())
    update(second, range(7, 20))
    assert torch.equal(second.module.weight, undisturbed.module.weight)


def test_a_decay_that_is_no_share_is_refused() -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        ExponentialMovingAverage(nn.Linear(1, 1), decay=1)
