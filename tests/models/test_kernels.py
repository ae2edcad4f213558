"""Which kernels of a network train and ship."""

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.models import ABPN, FSRCNN, KLN, RPQ, SCSRN, XCAT, PureConvSR, SRModel, collapse
from sr_experiments.models.blocks import BLOCKS
from sr_experiments.models.kernels import trained_kernels


def shipped(network: SRModel) -> list[Tensor]:
    """Weights of every convolution of the folded network."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    return [layer.weight for layer in collapse(network).modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_they_are_the_weights_that_a_collapsed_network_has(block: str) -> None:
    network = ABPN(channels=6, num_blocks=2, block=block, end_block=block).eval()
    kernels = trained_kernels(network)
    assert [kernel.name for kernel in kernels] == ["body.0", "body.2", "body.4", "body.6", "tail"]
    for kernel, weight in zip(kernels, shipped(network), strict=True):
        assert torch.allclose(kernel.read(), weight, atol=1e-6)


def test_frozen_anchors_and_networks_that_are_dropped_are_left_out() -> None:
    assert [kernel.name for kernel in trained_kernels(ABPN(anchor="nearest", num_blocks=1))] == [
        "body.0", "body.2", "body.4", "tail",
    ]  # fmt: skip
    body = [f"body.{place}" for place in range(0, 14, 2)]  # without what learns the skip's
    assert [kernel.name for kernel in trained_kernels(KLN())] == body
    assert len(trained_kernels(XCAT())) == len(shipped(XCAT()))  # its anchor folds to itself


def test_what_carries_the_image_is_no_kernel_that_trains() -> None:
    network = PureConvSR()
    shapes = [tuple(kernel.read().shape[:2]) for kernel in trained_kernels(network)]
    assert shapes == [(29, 3), (29, 29), (29, 29), (29, 29), (27, 29)]


def test_a_transposed_convolution_is_read_output_channel_first() -> None:
    network = FSRCNN()
    last = trained_kernels(network)[-1]
    assert isinstance(last.layer, nn.ConvTranspose2d)
    assert last.read().shape[0] == last.layer.out_channels == 3


@pytest.mark.parametrize(("kind", "count"), [(FSRCNN, 8), (SCSRN, 7), (RPQ, 6), (PureConvSR, 5)])
def test_a_kernel_that_is_written_is_read_again(kind: type[SRModel], count: int) -> None:
    torch.manual_seed(0)
    kernels = trained_kernels(kind().double())
    assert len(kernels) == count
    for kernel in kernels:
        wanted = torch.randn_like(kernel.read())
        kernel.write(wanted)
        assert (kernel.read() - wanted).abs().max() < 1e-9, kernel.name
