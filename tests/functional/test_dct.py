import pytest
import torch
from scipy.fft import dctn

from sr_experiments.functional.dct import dct2


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (2, 3, 24, 17)])
def test_transform_of_a_whole_image_is_scipys(shape: tuple[int, ...]) -> None:
    image = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = dctn(image.numpy(), axes=(-2, -1), norm="ortho")
    assert dct2(image).numpy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("block", [2, 3, 8])
def test_each_block_is_transformed_for_itself_and_stays_in_its_place(block: int) -> None:
    image = torch.randn(2, 3, 2 * block, 3 * block, dtype=torch.float64)
    coefficients = dct2(image, block)
    for row in range(0, 2 * block, block):
        for column in range(0, 3 * block, block):
            place = (..., slice(row, row + block), slice(column, column + block))
            expected = dctn(image[place].numpy(), axes=(-2, -1), norm="ortho")
            assert coefficients[place].numpy() == pytest.approx(expected, abs=1e-12)


def test_an_image_without_whole_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="20x16 has no whole blocks of 8x8"):
        dct2(torch.zeros(20, 16), 8)


def test_a_matrix_first_made_without_autograd_serves_it_later() -> None:
    with torch.inference_mode():
        dct2(torch.ones(7, 7))
    image = torch.ones(7, 7, requires_grad=True)
    dct2(image).sum().backward()
    assert image.grad is not None
