"""What the benchmark of training compares with, and what it has recorded."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "outputs" / "records" / "2026-11-21-training-speed" / "xlsr.json"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("training"), importlib.import_module("loaders")


def test_the_record_has_the_form_of_today(scripts: tuple[ModuleType, ModuleType]) -> None:
    training, _ = scripts
    results = json.loads(RECORD.read_text(encoding="utf-8"))
    made = training.check(results)
    assert {row.kind for row in made.rows} == {"loader", "sampler", "batch", "patch", "set"}
    results["rows"][0]["lowest"] = 1e9
    with pytest.raises(AssertionError):
        training.check(results)


def test_tiles_cover_every_pixel_and_stay_aligned(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, loaders = scripts
    rows, columns = np.mgrid[:25, :12]
    low = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    high = low.repeat(3, axis=0).repeat(3, axis=1)
    pairs = list(loaders.tiles((low, high), 3, 30))
    assert {small.shape for small, _ in pairs} == {(10, 10, 3)}
    for small, large in pairs:
        assert np.array_equal(large[::3, ::3], small)
    seen = {tuple(pixel) for small, _ in pairs for pixel in small.reshape(-1, 3)}
    assert len(seen) == 25 * 12
    ((small, _),) = loaders.tiles((low, high), 3, None)
    assert small.shape == (25, 12, 3)
