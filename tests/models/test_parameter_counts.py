"""Published parameter counts (NETWORKS.md; the XLSR paper's table 1 rounds them)."""

from typing import Any

import pytest
import torch

from sr_experiments import models
from sr_experiments.models import (
    ABPN,
    ACSR,
    EDSR,
    ESPCN,
    FSRCNN,
    HOPN,
    IMDN,
    KLN,
    RPQ,
    RRDB,
    S2R2,
    SCSRN,
    SESR,
    SRCNN,
    VDSR,
    WDSR,
    XCAT,
    XLSR,
    AntinsNet,
    APlus,
    Bicubic,
    BilibiliNet,
    BOENet,
    DoubleZ,
    EMSRNet,
    Lab216Net,
    MobileSR,
    MSRResNet,
    NCNet,
    PureConvSR,
    RepGSR,
    SkipSkip,
    SRModel,
    SRResNet,
    SwiftSRGAN,
    VccipNet,
    collapse,
)
from sr_experiments.models.base import count_parameters

COUNTS: list[tuple[type[SRModel], dict[str, Any], int]] = [
    (XLSR, {"scale": 2}, 17_612),
    (XLSR, {"scale": 3}, 21_947),
    (XLSR, {"scale": 4}, 28_016),
    (XLSR, {"depthwise": True}, 21_947 - 3 * (2_336 - 320)),
    (ESPCN, {}, 31_131),
    (FSRCNN, {}, 24_683),
    (ABPN, {}, 42_539),
    (ABPN, {"channels": 32}, 52_279),
    (ABPN, {"channels": 20, "num_blocks": 6}, 33_755),
    (ABPN, {"channels": 12}, 15_099),
    (VDSR, {}, 668_227),
    (EDSR, {"scale": 3}, 1_554_499),
    (EDSR, {"scale": 4}, 1_517_571),
    (EDSR, {"channels": 256, "num_blocks": 32, "res_scale": 0.1}, 43_680_003),
    (EDSR, {"scale": 4, "channels": 256, "num_blocks": 32, "res_scale": 0.1}, 43_089_923),
    (SRCNN, {}, 57_184 + 2 * (64 * 81 + 32 * 25) + 64 + 32 + 3),  # luma's weights and two colours
    (SRCNN, {"middle_kernel": 1}, 8_032 + 2 * (64 * 81 + 32 * 25) + 64 + 32 + 3),
    (IMDN, {"scale": 2}, 694_404),
    (IMDN, {"scale": 3}, 703_059),
    (IMDN, {"scale": 4}, 715_176),
    (IMDN, {"num_blocks": 4}, 486_827),
    (SRResNet, {"scale": 2}, 1_401_749),
    (SRResNet, {"scale": 4}, 1_549_462),
    (SRResNet, {"scale": 4, "per_channel_slopes": True}, 1_550_659),
    (SRResNet, {"scale": 4, "num_blocks": 5}, 734_219),
    (MSRResNet, {"scale": 3}, 1_554_499),
    (MSRResNet, {"scale": 4}, 1_517_571),
    # the authors' code counts 1,088 slopes of PReLUs that it makes and never calls
    (SwiftSRGAN, {"scale": 2}, 183_865 - 1_088),
    (SwiftSRGAN, {"scale": 4}, 201_209 - 1_088),
    (SwiftSRGAN, {"scale": 4, "enlarge_kernel": 9}, 209_337),
    (RRDB, {"scale": 4}, 16_697_987),
    (RRDB, {"scale": 4, "num_blocks": 16}, 11_662_019),
    (WDSR, {"scale": 2}, 1_190_100),  # JiahuiYu/wdsr_ntire2018
    (WDSR, {"channels": 64, "expansion": 6, "variant": "b"}, 1_212_085),
    (WDSR, {"channels": 128, "num_blocks": 64}, 75_616_341),  # the XLSR paper: 75M
    (SESR, {}, 339_323),
    (EMSRNet, {}, 45_691),
    (ABPN, {"block": "rrrb"}, 140_203),  # ICL: "140K to 42.5K"
    (ABPN, {"channels": 20, "num_blocks": 6, "tail": False}, 27_167),
    (HOPN, {}, 35_951),
    (BOENet, {}, 43_035),
    (NCNet, {}, 52_279),
    (DoubleZ, {}, 50_379),
    (DoubleZ, {"anchor": "conv1"}, 49_731),
    (S2R2, {}, 35_563),
    (Lab216Net, {}, 64_943),
    (AntinsNet, {}, 27_363),
    (SkipSkip, {}, 43_376),
    (BilibiliNet, {}, 57_915),
    (MobileSR, {}, 66_636),
    (XCAT, {}, 13_873),
    (SCSRN, {}, 420_468),
    (PureConvSR, {}, 109_328),
    (VccipNet, {}, 102_367),
    (RPQ, {}, 874_134),
    (ACSR, {}, 992_363),
    (RepGSR, {}, 1_081_975),
    (KLN, {}, 94_932),
    (APlus, {}, 30 * (324 + 1_024 + 1_024 * 81)),
    (Bicubic, {}, 0),
]


COLLAPSED: list[tuple[type[SRModel], dict[str, Any], int]] = [
    (ABPN, {"block": "rrrb"}, 42_539),
    (ABPN, {"block": "repvgg", "end_block": "repvgg"}, 42_539),
    (ABPN, {"channels": 32, "block": "repvgg", "end_block": "repvgg"}, 52_279),
    (NCNet, {}, 52_279),
    (VccipNet, {}, 50_119),
    (SCSRN, {}, 55_668),
    (PureConvSR, {}, 37_199),
    (RPQ, {}, 43_148),
    # what pruning may leave, 9 * in * out + out for each layer
    (RPQ, {"channels": [10, 11, 12, 13, 14]}, 280 + 1_001 + 1_200 + 1_417 + 1_652 + 3_429),
    (ACSR, {}, 97_635),
    (ACSR, {"channels": 32, "num_blocks": 9}, 105_755),
    (RepGSR, {}, 56_671),
    (KLN, {}, 43_791),
    (SESR, {"num_blocks": 3}, 19_003),
    (SESR, {}, 23_643),
    (SESR, {"num_blocks": 7}, 28_283),
    (SESR, {"num_blocks": 11, "width": 64}, 37_563),
    (SESR, {"num_blocks": 11, "width": 64, "channels": 32}, 125_787),
    # the length of each kernel is folded away
    (WDSR, {"scale": 2}, 1_190_100 - 32 - 16 * (128 + 32) - 12 - 12),
    # two batch norms a block and one more: their 64 factors and shifts go
    (SRResNet, {"scale": 4}, 1_549_462 - 33 * 2 * 64),
    # and there the convolutions before them gain 64 biases each
    (SwiftSRGAN, {"scale": 4}, 201_209 - 1_088 - 33 * 64),
]


@pytest.mark.parametrize(("network", "options", "count"), COUNTS)
def test_network_has_the_published_number_of_parameters(
    network: type[SRModel], options: dict[str, Any], count: int
) -> None:
    with torch.device("meta"):
        assert count_parameters(network(**options)) == count


def test_no_network_is_missing_from_the_table() -> None:
    exported = [getattr(models, name) for name in models.__all__]
    networks = {item for item in exported if isinstance(item, type) and issubclass(item, SRModel)}
    assert networks - {SRModel} == {network for network, _, _ in COUNTS}


@pytest.mark.parametrize(("network", "options", "count"), COLLAPSED)
def test_collapsed_network_has_the_published_number_of_parameters(
    network: type[SRModel], options: dict[str, Any], count: int
) -> None:
    assert count_parameters(collapse(network(**options))) == count
