"""Distances worked out by hand."""

import math

import numpy as np
import pytest

from sr_experiments.deploy.parity import Parity, compare


def test_differences_of_four_pixels_are_counted() -> None:
    first = np.array([0, 10, 255, 3], np.uint8)
    second = np.array([0, 9, 250, 4], np.uint8)
    # Squares 0, 1, 25, 1: mean 6.75.
    expected = 10 * math.log10(255**2 / 6.75)
    assert compare(first, second) == Parity(0.25, 0.75, 5, pytest.approx(expected))


def test_equal_pictures_are_infinitely_close() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    assert compare(image, image.copy()) == Parity(1.0, 1.0, 0, math.inf)


def test_pictures_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        compare(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8))
