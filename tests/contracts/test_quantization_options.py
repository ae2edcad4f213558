"""Each option of a quantisation mode changes the INT8 file, that of a training on its grid too."""

import copy
from functools import cache

import pytest
import torch
from alternatives import Options, check_every_option, digest, names, options_of, photo, to
from hydra.utils import instantiate

from sr_experiments.callbacks.measuring import make_file
from sr_experiments.data import SRData
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.models import ABPN, SRModel
from sr_experiments.quantization import NoQuantization, QuantizationAware, trace
from sr_experiments.tasks.reference import Reference

STEPS = 4
TABLE = {
    "observer": to("percentile"),
    "calibration_set": to("val"),
    "calibration_images": to(2),
    "adaptive_rounding": to(3),
    "input_type": to("int8"),
    "output_type": to("int8"),
    "ranges": to("learned"),
    "decay": to(0.5),
    "freeze_at": to(0.4),
    "sqcl": to(0.3, given={"ranges": "learned"}),  # an average's have nothing outside
    "reference": to("twin"),
}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> SRData:
    cache_dir = tmp_path_factory.getbasetemp() / "cache"
    return SRData(["photos:train"], ["photos:val"], [], scale=2, cache_dir=cache_dir)


@cache
def trained() -> SRModel:
    """A small network with a linear output, after some steps on a photo."""
    torch.manual_seed(0)
    model = ABPN(2, channels=8, num_blocks=1, clip_output=False)
    low_res, high_res = photo()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        (model(low_res) - high_res).abs().mean().backward()
        optimizer.step()
    model.fresh = False
    return model


def file(options: Options, images: SRData) -> str:
    """The file that ships, after a short training where the mode has one."""
    mode = instantiate(options)
    if isinstance(mode, NoQuantization):
        return ""
    model = copy.deepcopy(trained())
    if not isinstance(mode, QuantizationAware):
        return digest(make_file(mode, trace(model.eval()), images))
    compared = Reference.of(mode.reference, model, None)
    training = mode.start(trace(model), mode.images(images)).train()
    optimizer = torch.optim.Adam([*model.parameters(), *training.parameters()], 1e-3)
    low_res, high_res = photo()
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = (training.run(low_res) - high_res).abs().mean()
        penalty = training.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        training.advance((step + 1) / STEPS)
    with torch.no_grad():
        return digest(int8_model(training.quantized()), compared.trains)


@pytest.mark.parametrize("name", names("quantization"))
def test_every_option_of_a_mode_changes_the_file(name: str, images: SRData) -> None:
    options = options_of("quantization", name, calibration_images=4, calibration_size=24)
    check_every_option(f"quantization/{name}", options, TABLE, lambda made: file(made, images))


def test_every_mode_has_a_file_of_its_own(images: SRData) -> None:
    made = {name: file(options_of("quantization", name), images) for name in names("quantization")}
    assert len(set(made.values())) == len(made)
