"""The size of INT8 files as other converters write them, against files that are public."""

import pytest
import torch

from sr_experiments.models import ABPN, HOPN, SCSRN, EMSRNet, NCNet, PureConvSR, SRModel, collapse
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.tables.byte_model import Band, size_band


def band(network: SRModel) -> Band:
    return size_band(trace(collapse(network)))


def meta(network: type[SRModel], **options: object) -> SRModel:
    with torch.device("meta"):
        return network(**options)  # type: ignore[arg-type]


def test_abpns_band_is_the_one_worked_by_hand() -> None:
    kernels = 9 * (3 * 28 + 4 * 28 * 28 + 28 * 27 + 27 * 27)
    channels = 5 * 28 + 2 * 27
    # 7 convolutions, concatenation, addition, MINIMUM, RELU, shuffle, QUANTIZE at either end
    tensors = 1 + 14 + 2 * 7
    found = band(ABPN())
    assert found.low * 1024 == kernels + 28 * channels + 215 * tensors
    assert found.high * 1024 == kernels + 28 * channels + 425 * tensors


@pytest.mark.parametrize(
    ("network", "options", "printed"),
    [  # worked out of the public files' structure, before this code was
        (HOPN, {}, "44.6-49.5"),
        (SCSRN, {}, "66.0-71.8"),
        (EMSRNet, {"clip_output": False}, "54.2-58.7"),
        (ABPN, {"channels": 20, "num_blocks": 6}, "45.4-52.6"),
        (ABPN, {"channels": 12}, "23.8-29.8"),
    ],
)
def test_bands_are_those_of_the_public_files_structure(
    network: type[SRModel], options: dict[str, object], printed: str
) -> None:
    assert str(band(meta(network, **options))) == printed


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (ABPN, 54_720),  # NJU-Jet, quantised after training
        (ABPN, 56_408),  # NJU-Jet, while training
        (ABPN, 58_008),  # ECNUSR's re-run
        (NCNet, 66_240),  # submission
        (HOPN, 45_992),  # ETDS repository: the same layers
    ],
)
def test_public_files_lie_within_their_networks_band(network: type[SRModel], size: int) -> None:
    found = band(meta(network))
    assert found.low <= size / 1024 <= found.high


def test_a_folded_block_counts_as_the_convolution_that_ships() -> None:
    assert band(PureConvSR()) == band(PureConvSR(channels=29, block="repvgg"))


def test_distance_knows_that_a_printed_size_is_rounded() -> None:
    found = Band(52.7, 58.7)
    assert found.distance(55) == 0
    assert found.distance(59) == 0
    assert found.distance(61) == pytest.approx(61 - 0.5 - 58.7)
    assert found.distance(39) == pytest.approx(52.7 - 39.5)
