import json

import pytest
import torch

from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, XLSR, EMSRNet, SRModel, collapse
from sr_experiments.quantization import QuantizationAware, trace
from sr_experiments.quantization.description import described, description


@pytest.mark.parametrize(
    "model",
    [XLSR(), ABPN(block="ecb"), EMSRNet(block="dbb")],
    ids=["plain", "folded", "batch_norm"],
)
@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_described_scales_give_the_same_file_on_the_folded_network(
    model: SRModel, ranges: str
) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    quantizer = QuantizationAware(ranges=ranges).start(trace(model), images)  # type: ignore[arg-type]
    quantized = quantizer.quantized()
    values = json.loads(json.dumps(description(quantized)))
    again = described(trace(collapse(model)), values)
    assert int8_model(again) == int8_model(quantized)


def test_a_description_of_another_network_is_refused() -> None:
    images = torch.rand(1, 3, 16, 16)
    values = description(QuantizationAware().start(trace(XLSR()), images).quantized())
    with pytest.raises(UserError, match="belong to another network"):
        described(trace(ABPN()), values)
