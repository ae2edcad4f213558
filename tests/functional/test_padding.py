"""Symmetric padding against NumPy's."""

import numpy as np
import pytest
import torch

from sr_experiments.functional.padding import symmetric_pad


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
@pytest.mark.parametrize("pad", [0, 1, 2, 5])
def test_border_is_mirrored_as_numpy_does_it(size: tuple[int, int], pad: int) -> None:
    x = torch.rand(2, 3, *size)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    assert np.array_equal(symmetric_pad(x, pad).numpy(), expected)
