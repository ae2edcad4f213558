from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale, imresize
from sr_experiments.losses import Contrastive

LAYERS = {"relu1_1": 2, "relu3_1": 8}  # of VGG11, and how many layers that is
WEIGHTS = [0.25, 1.0]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, original and low-res of three images."""
    original, noise = torch.rand(2, 3, 3, 24, 24, generator=torch.Generator().manual_seed(7))
    return 0.8 * original + 0.2 * noise, original, downscale(original, 3)


def make(file: Path, **options: float) -> Contrastive:
    return Contrastive(
        trunk="torchvision/vgg11",
        layers=list(LAYERS),
        layer_weights=WEIGHTS,
        weights=str(file),
        normalize=False,
        **options,  # type: ignore[arg-type]
    )


def expected(vgg: nn.Sequential, batch: tuple[Tensor, Tensor, Tensor], negatives: int) -> float:
    """The formula of the report, image by image, with CSD's means and epsilon."""
    prediction, original, low_res = batch
    total = 0.0
    for weight, depth in zip(WEIGHTS, LAYERS.values(), strict=True):
        seen, wanted, blurred = (
            [vgg[:depth](image[None].clone()) for image in images]
            for images in (prediction, original, imresize(low_res, 3))
        )
        near = [(a - b).abs().mean() for a, b in zip(seen, wanted, strict=True)]
        far = [sum((a - b).abs().mean() for b in blurred[:negatives]) for a in seen]
        total += weight * float(sum(near) / 3 / (sum(far) / 3 + 1e-7))
    return total


@pytest.mark.parametrize(("negatives", "used"), [(1, 1), (2, 2), (16, 3)])
def test_ratio_of_distances_is_the_reports_with_at_most_the_batch_as_negatives(
    batch: tuple[Tensor, Tensor, Tensor],
    vgg11: nn.Sequential,
    vgg11_file: Path,
    negatives: int,
    used: int,
) -> None:
    terms = make(vgg11_file, weight=2.0, negatives=negatives)(*batch)
    assert terms["l1"].item() == pytest.approx((batch[0] - batch[1]).abs().mean().item())
    assert terms["contrastive"].item() == pytest.approx(2 * expected(vgg11, batch, used), rel=1e-4)


def test_gradient_through_both_distances_is_that_of_a_difference_quotient(
    batch: tuple[Tensor, Tensor, Tensor], vgg11_file: Path
) -> None:
    loss = make(vgg11_file, negatives=2).double()
    prediction, original, low_res = (part.double() for part in batch)
    prediction.requires_grad_()
    loss(prediction, original, low_res)["contrastive"].backward()
    assert prediction.grad is not None
    direction = torch.randn(
        prediction.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    with torch.no_grad():
        ends = [
            loss(prediction + step * direction, original, low_res)["contrastive"]
            for step in (-1e-6, 1e-6)
        ]
    quotient = (ends[1] - ends[0]).item() / 2e-6
    assert (prediction.grad * direction).sum().item() == pytest.approx(quotient, rel=1e-3)


def test_the_original_is_better_than_the_prediction_and_a_blurred_one_worse(
    batch: tuple[Tensor, Tensor, Tensor], vgg11_file: Path
) -> None:
    loss = make(vgg11_file)
    _, original, low_res = batch
    blurred = imresize(low_res, 3)
    values = [
        loss(picture, original, low_res)["contrastive"].item()
        for picture in (original, (original + blurred) / 2, blurred)
    ]
    assert 0 == values[0] < values[1] < values[2]


def test_impossible_options_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"loss\.weight=0 .*loss=l1"):
        Contrastive(weight=0)
    with pytest.raises(UserError, match=r"loss\.negatives=0"):
        Contrastive(negatives=0)
    with pytest.raises(UserError, match="5 values for 1 layers"):
        Contrastive(layers=["relu5_1"])
