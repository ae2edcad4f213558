import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import imresize
from sr_experiments.models.blocks import (
    BicubicUpscale,
    ChannelOffset,
    ClippedReLU,
    RepeatChannels,
    hidden_activation,
)


def test_learned_bound_is_pushed_by_what_it_cuts_and_by_nothing_else() -> None:
    clip = ClippedReLU(bound=2.0, learned=True)
    x = torch.tensor([-1.0, 0.5, 3.0, 5.0], requires_grad=True)
    y = clip(x)
    assert y.tolist() == [0, 0.5, 2, 2]
    (y * torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert isinstance(clip.bound, nn.Parameter)
    assert clip.bound.grad is not None
    assert clip.bound.grad.item() == 1100
    assert x.grad is not None
    assert x.grad.tolist() == [0, 10, 0, 0]


def test_fixed_bound_clips_and_is_no_parameter() -> None:
    clip = ClippedReLU(0.5)
    assert clip(torch.tensor([-1.0, 0.25, 3.0])).tolist() == [0, 0.25, 0.5]
    assert not list(clip.parameters())


@pytest.mark.parametrize("option", ["maximal", True])
def test_unknown_clip_hidden_is_refused(option: object) -> None:
    with pytest.raises(UserError, match=f"clip_hidden={option}"):
        hidden_activation(option)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="above 0"):
        hidden_activation(0)


def test_repeated_channels_shuffled_are_nearest_neighbour() -> None:
    image = torch.rand(2, 3, 5, 4)
    enlarged = F.pixel_shuffle(RepeatChannels(9)(image), 3)
    assert torch.equal(enlarged, F.interpolate(image, scale_factor=3.0, mode="nearest"))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_layer_is_matlabs_imresize_borders_included(scale: int) -> None:
    image = torch.rand(2, 3, 7, 5, dtype=torch.float64)
    expected = imresize(image, scale)
    assert torch.allclose(BicubicUpscale(scale)(image), expected, rtol=0, atol=1e-14)


def test_offset_is_added_per_channel_and_not_saved() -> None:
    layer = ChannelOffset([1.0, -2.0])
    assert layer(torch.zeros(1, 2, 1, 1)).flatten().tolist() == [1, -2]
    assert not layer.state_dict()
