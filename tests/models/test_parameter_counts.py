"""Published parameter counts (NETWORKS.md; the XLSR paper's table 1 rounds them)."""

from typing import Any

import pytest
import torch

from sr_experiments import models
from sr_experiments.models import ABPN, EDSR, ESPCN, FSRCNN, VDSR, XLSR, Bicubic, EMSRNet, SRModel
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
    (EMSRNet, {}, 45_691),
    (Bicubic, {}, 0),
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
