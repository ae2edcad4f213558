"""Networks of the mini-batch study; published counts (NETWORKS.md, section 7.3)."""

from typing import Any

import pytest
import torch
from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.models import DPN, CifarResNet, Classifier, TimmCifar, count_parameters

TEN = [str(number) for number in range(10)]
COUNTS: list[tuple[type[Classifier], dict[str, Any], int, int]] = [
    (DPN, {}, 34_236_634, 113_423),  # DPN-92 of kuangliu/pytorch-cifar
    (DPN, {"blocks": [2, 2, 2, 2]}, 11_574_842, 35_917),  # its DPN-26
    (TimmCifar, {"name": "dpn92"}, 34_998_602, 125_312),
    # pytorch-cifar's ResNet-18
    (TimmCifar, {"name": "resnet18"}, 11_173_962, 9_620),
    # torchvision's DenseNet-121 without its last layer and with 3x3 in place of 7x7
    (
        TimmCifar,
        {"name": "densenet121"},
        7_978_856 - 1_025_000 + 10_250 - 64 * 3 * (49 - 9),
        83_769,
    ),
    # He et al. print 0.27 M for ResNet-20: 9 convolutions' worth of 3x3 in three widths
    (CifarResNet, {"num_blocks": 3}, 269_722, 1_395),
    (CifarResNet, {}, 75_290, 487),
]


@pytest.mark.parametrize(("network", "options", "parameters", "buffers"), COUNTS)
def test_parameters_and_buffers_are_those_published(
    network: type[Classifier], options: dict[str, Any], parameters: int, buffers: int
) -> None:
    with torch.device("meta"):
        made = network(TEN, **options)
    assert count_parameters(made) == parameters
    assert sum(buffer.numel() for buffer in made.buffers()) == buffers


def test_the_papers_of_resnet_count_by_hand() -> None:
    convolutions = 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert convolutions + norms + 650 == 269_722


@pytest.mark.parametrize(
    "made",
    [
        DPN(TEN, blocks=[1, 2, 1, 1], widths=[32] * 4, residual=[16] * 4, growth=[4] * 4),
        CifarResNet(TEN, num_blocks=2, channels=4),
        TimmCifar(TEN, name="resnet18"),
    ],
    ids=["DPN", "CifarResNet", "TimmCifar"],
)
@pytest.mark.parametrize("side", [32, 24])
def test_every_parameter_gets_a_gradient_and_any_size_will_do(made: Classifier, side: int) -> None:
    logits = made.train()(torch.rand(2, 3, side, side))
    assert logits.shape == (2, 10)
    logits.square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_a_dual_path_block_adds_the_first_channels_and_keeps_the_others() -> None:
    network = DPN(TEN, blocks=[2, 1, 1, 1], widths=[32] * 4, residual=[6] * 4, growth=[2] * 4)
    block = network.stages[0][1]  # type: ignore[index]
    images = torch.rand(1, 10, 4, 4)  # 6 added, and 2 beside from each branch of the first block
    with torch.no_grad():
        nn.init.zeros_(block.body[-1].weight)
        new = torch.arange(8.0)
        block.body[-1].bias.copy_(new)
        out = block.eval()(images)
    torch.testing.assert_close(out[:, :6], images[:, :6] + new[:6].view(1, 6, 1, 1))
    torch.testing.assert_close(out[:, 6:10], images[:, 6:])
    assert out[0, 10:].amax((1, 2)).tolist() == [6.0, 7.0]
    assert out.shape[1] == 12


def test_a_resnets_shortcut_takes_every_second_pixel_and_pads_with_zeros() -> None:
    block = CifarResNet(TEN, channels=4).blocks[1]
    images = torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        nn.init.zeros_(block.body[-1].weight)
        out = block.eval()(images)
    torch.testing.assert_close(out[:, :4], images[:, :, ::2, ::2])
    assert float(out[:, 4:].abs().max()) == 0


def test_the_first_layer_of_timms_networks_keeps_every_pixel() -> None:
    network = TimmCifar(TEN, name="resnet18").network
    seen: list[torch.Size] = []
    network.layer1.register_forward_hook(  # type: ignore[union-attr]
        lambda module, inputs, output: seen.append(inputs[0].shape)
    )
    network.eval()(torch.rand(1, 3, 32, 32))
    assert seen == [torch.Size([1, 64, 32, 32])]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPN(TEN, blocks=[3, 4]), r"model\.blocks=\[3, 4\]"),
        (lambda: DPN(TEN, widths=[96, 192, 384, 700]), "multiples of 32"),
        (lambda: CifarResNet(TEN, channels=0), r"model\.channels=0"),
        (lambda: TimmCifar(TEN, name="vgg16"), "model=timm_classifier"),
        (lambda: TimmCifar(TEN, name="resnet19x"), "none of timm's"),
    ],
)
def test_impossible_options_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
