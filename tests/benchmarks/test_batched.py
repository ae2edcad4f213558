"""What the benchmark of batched runs has recorded."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "outputs" / "records" / "2026-11-21-batched" / "xlsr.json"


def test_the_record_of_batched_runs_has_the_form_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    batched = importlib.import_module("batched")
    results = json.loads(RECORD.read_text(encoding="utf-8"))
    made = batched.check(results)
    assert {(row.name, row.runs) for row in made.rows} == {
        (name, runs) for name in batched.RIVALS for runs in (1, 2, 4, 8, 16)
    }
    results["rows"][0]["lowest"] = 1e9
    with pytest.raises(AssertionError):
        batched.check(results)
