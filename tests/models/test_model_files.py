import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sr_experiments.errors import UserError
from sr_experiments.models import EDSR, XLSR, Bicubic, collapse, load_model, save_model

CONFIG = {"_target_": "sr_experiments.models.XLSR", "scale": 2, "clip_hidden": "learned"}
SMALL_EDSR = {
    "_target_": "sr_experiments.models.EDSR",
    "scale": 2,
    "channels": 8,
    "num_blocks": 1,
    "res_scale": 0.1,
}


def rewrite(path: Path, **metadata: str) -> None:
    """Save the tensors of a file again under other metadata."""
    with safe_open(path, framework="pt") as file:
        kept = file.metadata()
    save_file(load_file(path), path, kept | metadata)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_model(XLSR(2, clip_hidden="learned"), CONFIG, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_loaded_network_gives_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = XLSR(2, clip_hidden="learned").to(memory_format=torch.channels_last).eval()
    save_model(model, CONFIG, tmp_path / "new folder" / "model.safetensors")
    loaded = load_model(tmp_path / "new folder" / "model.safetensors")
    assert isinstance(loaded, XLSR)
    assert (loaded.scale, loaded.training) == (2, False)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    low_res = torch.rand(1, 3, 9, 8)
    assert torch.equal(loaded(low_res), model.to(memory_format=torch.contiguous_format)(low_res))


def test_collapsed_network_loads_without_its_training_form(tmp_path: Path) -> None:
    options: dict[str, Any] = {k: v for k, v in SMALL_EDSR.items() if k != "_target_"}
    twin = collapse(EDSR(**options))
    save_model(twin, SMALL_EDSR, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.collapsed
    low_res = torch.rand(1, 3, 6, 7)
    assert torch.equal(loaded(low_res), twin(low_res))


def test_network_without_weights_can_be_saved(tmp_path: Path) -> None:
    config = {"_target_": "sr_experiments.models.Bicubic", "scale": 4}
    save_model(Bicubic(4), config, tmp_path / "bicubic.safetensors")
    assert load_model(tmp_path / "bicubic.safetensors").scale == 4


def test_metadata_says_how_to_build_the_network(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["model"]) == CONFIG
    assert (metadata["schema_version"], metadata["scale"]) == ("1", "2")


def test_same_network_always_gives_the_same_bytes(tmp_path: Path) -> None:
    # safetensors itself writes metadata in an order that differs from call to call
    model = XLSR(2, clip_hidden="learned")
    contents = set()
    for _ in range(8):
        save_model(model, CONFIG, tmp_path / "model.safetensors")
        contents.add((tmp_path / "model.safetensors").read_bytes())
    assert len(contents) == 1


def test_nothing_is_left_beside_the_file(file: Path) -> None:
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "target",
    ["os.system", "sr_experiments.models.io.load_model", "sr_experiments.models.SRModel", "XLSR"],
)
def test_a_file_that_names_other_code_is_refused(file: Path, target: str) -> None:
    rewrite(file, model=json.dumps({"_target_": target}))
    with pytest.raises(UserError, match=f"{target}, which is not a network"):
        load_model(file)


def test_a_weight_of_another_shape_is_named(file: Path) -> None:
    rewrite(file, model=json.dumps(CONFIG | {"scale": 3}))
    with pytest.raises(UserError, match=r"tail\.bias has shape \(12,\).*needs \(27,\)"):
        load_model(file)


def test_missing_and_foreign_weights_are_named(file: Path) -> None:
    rewrite(file, model=json.dumps(CONFIG | {"clip_hidden": None}))
    with pytest.raises(UserError, match=r"bound does not belong to sr_experiments\.models\.XLSR"):
        load_model(file)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    del tensors["mix.weight"]
    save_file(tensors, file, metadata | {"model": json.dumps(CONFIG)})
    with pytest.raises(UserError, match=r"weight mix\.weight is missing"):
        load_model(file)


def test_options_that_the_network_does_not_have_are_named(file: Path) -> None:
    rewrite(file, model=json.dumps(CONFIG | {"width": 64}))
    with pytest.raises(UserError, match="width"):
        load_model(file)


@pytest.mark.parametrize("model", ["not json", "[1]", '"XLSR"'])
def test_metadata_that_names_no_network_is_refused(file: Path, model: str) -> None:
    rewrite(file, model=model)
    with pytest.raises(UserError, match="does not say which network"):
        load_model(file)


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="schema_version"):
        load_model(path)
    path.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(UserError, match="not a safetensors file"):
        load_model(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="not a safetensors file"):
        load_model(path)
    with pytest.raises(UserError, match="not there"):
        load_model(tmp_path / "absent.safetensors")


def test_a_truncated_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        load_model(file)


def test_a_configuration_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this network, which is EDSR"):
        save_model(EDSR(2, 8, 1), CONFIG, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
