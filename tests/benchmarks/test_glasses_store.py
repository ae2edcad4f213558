"""The benchmark of the packed faces on a few drawn ones, and what it has recorded."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "outputs" / "records" / "2026-11-21-benchmarks" / "glasses_store.json"


@pytest.fixture
def script() -> Iterator[ModuleType]:
    threads = torch.get_num_threads()
    path = ROOT / "benchmarks" / "glasses_store.py"
    spec = importlib.util.spec_from_file_location("glasses_store", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value; of a list, those of its first entry."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else "text"  # or null, as the revision


def test_packed_bytes_are_those_of_the_pixels_and_the_record_has_the_same_form(
    script: ModuleType, tmp_path: Path
) -> None:
    faces = tmp_path / "gan_faces"
    (faces / "images").mkdir(parents=True)
    for index in range(10):
        Image.new("RGB", (40, 40), (20 * index, 0, 0)).save(faces / "images" / f"{index}.png")
    rows = "".join(f"{index}.png,{index % 2}\n" for index in range(10))
    (faces / "labels.csv").write_text(f"file,glasses\n{rows}")
    output = tmp_path / "out.json"
    words = ["sizes=[32]", "side=48", "count=30", "shard=15", "runs=1"]
    script.main([*words, f"data_dir={tmp_path}", f"output={output}"])
    made = json.loads(output.read_text())
    (result,) = made["results"]
    pixels = 15 * (3 * 32 * 32 + 8) / 1e6  # and a header with the names
    assert pixels < result["shard_mb"] < pixels + 0.001
    assert 2 * pixels < result["packed_mb"] < 2 * pixels + 0.002
    assert all(rate["median"] > 0 for rate in result["images_per_second"].values())
    recorded = json.loads(RECORD.read_text())
    assert shape(recorded) == shape(made)
    assert [entry["size"] for entry in recorded["results"]] == [32, 64, 128]
    assert recorded["options"]["shard"] == 450
