"""Channel orders of depth-to-space, against TensorFlow's documented example and torch."""

import pytest
import torch
import torch.nn.functional as F

from sr_experiments.functional.shuffle import depth_to_space, pixel_shuffle_to_dcr


def test_the_example_of_the_tensorflow_manual_comes_out() -> None:
    # tf.nn.depth_to_space, input shape [1, 1, 1, 12], block 2: rows of RGB pixels.
    pixels = depth_to_space(torch.arange(1.0, 13.0).view(1, 12, 1, 1), 2)
    expected = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]
    assert pixels[0].permute(1, 2, 0).tolist() == expected


def test_the_manuals_example_of_four_pixels_comes_out() -> None:
    nhwc = [[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 10, 11, 12], [13, 14, 15, 16]]]
    pixels = depth_to_space(torch.tensor(nhwc).permute(2, 0, 1)[None], 2)
    assert pixels[0, 0].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]


@pytest.mark.parametrize("block", [1, 2, 3, 4])
@pytest.mark.parametrize("colours", [1, 3, 5])
def test_permuted_channels_turn_a_pixel_shuffle_into_depth_to_space(
    colours: int, block: int
) -> None:
    x = torch.rand(2, colours * block**2, 3, 4)
    index = pixel_shuffle_to_dcr(colours, block)
    assert torch.equal(F.pixel_shuffle(x, block), depth_to_space(x[:, index], block))


def test_channels_that_fill_no_square_are_refused() -> None:
    with pytest.raises(ValueError, match="26 channels"):
        depth_to_space(torch.zeros(1, 26, 2, 2), 3)
