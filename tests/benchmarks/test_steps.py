"""What the benchmark of whole trainings' steps measures, and has recorded."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "outputs" / "records" / "2026-11-21-training-speed"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("steps")


@pytest.mark.parametrize("name", ["steps_gan.json", "steps_srresnet.json"])
def test_the_records_have_the_form_of_today(name: str, steps: ModuleType) -> None:
    results = json.loads((RECORDS / name).read_text(encoding="utf-8"))
    assert [row.way for row in steps.check(results).rows] == steps.WAYS
    results["rows"][0]["lowest"] = 1e9
    with pytest.raises(AssertionError):
        steps.check(results)


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize(("way", "counted"), [("", 5), ("trainer.steps_per_batch=4", 8)])
def test_a_turn_counts_the_steps_after_the_first_batch(
    way: str, counted: int, steps: ModuleType, one_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["model=abpn", "model.channels=4", "model.num_blocks=1", "data.batch_size=2"]
    made = steps.Way([*words, "trainer.accelerator=cpu"], way, 5)
    seen: list[int] = []
    end = steps.Clock.on_train_batch_end

    def watched(clock: object, trainer: object, task: object, *rest: object) -> None:
        end(clock, trainer, task, *rest)
        seen.append(clock.taken[0])  # type: ignore[attr-defined]

    monkeypatch.setattr(steps.Clock, "on_train_batch_end", watched)
    made.turn()
    assert seen[-1] == counted
    assert made.row().steps_per_second > 0
    assert 0 <= made.row().share_in_data <= 1
