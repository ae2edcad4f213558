import torch

from sr_experiments.models import ESPCN, XLSR
from sr_experiments.models.health import dead_output_channels, watch_output_clip


def test_a_channel_is_dead_exactly_when_the_clip_gives_it_no_gradient() -> None:
    torch.manual_seed(0)
    pre_clip = torch.randn(2, 40, 2, 3).add(0.5).mul(3).requires_grad_()
    pre_clip.clamp(0, 1).sum().backward()
    assert pre_clip.grad is not None
    without = [c for c in range(40) if pre_clip.grad[:, c].abs().sum() == 0]
    assert dead_output_channels(pre_clip.detach()) == without
    assert 0 < len(without) < 40


def test_a_channel_stuck_above_the_clip_or_on_both_sides_is_dead_too() -> None:
    pre_clip = torch.tensor([[1.5, 2.0], [-1.0, 2.0], [-1.0, 0.5]]).view(1, 3, 1, 2)
    assert dead_output_channels(pre_clip) == [0, 1]


def test_killed_channels_of_a_network_are_named() -> None:
    torch.manual_seed(0)
    model = XLSR()
    with torch.no_grad():
        model.tail.bias[3] = -5
        model.tail.bias[20] = 5
        with watch_output_clip(model) as dead:
            for _ in range(2):
                model(torch.rand(1, 3, 24, 24))
    assert dead == {3, 20}


def test_a_channel_alive_in_one_of_the_pictures_is_alive() -> None:
    model = XLSR()
    torch.nn.init.zeros_(model.tail.weight)
    torch.nn.init.constant_(model.tail.bias, 0.5)
    with torch.no_grad(), watch_output_clip(model) as dead:
        model(torch.rand(1, 3, 8, 8))
        model.tail.bias[0] = -1
        model(torch.rand(1, 3, 8, 8))
    assert dead == set()


def test_watching_ends_and_a_linear_output_has_nothing_to_die() -> None:
    clipped, linear = XLSR(), ESPCN()
    with watch_output_clip(clipped), watch_output_clip(linear) as dead:
        linear(torch.rand(1, 3, 8, 8))
    assert dead == set()
    assert clipped.output_clip is not None
    assert not clipped.output_clip._forward_pre_hooks
