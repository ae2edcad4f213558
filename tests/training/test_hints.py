"""Hints for NPUs come before training, once for each network of a sweep."""

from pathlib import Path

import pytest

from sr_experiments.sweeping import sweep
from sr_experiments.sweeping.grid import Naming

QUICK = ["data.batch_size=2", "data.patch=8", "data.test=[photos:test]", "trainer.accelerator=cpu"]


def test_a_sweep_says_the_hints_of_each_network_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "call_apart", lambda function, job: function(job))
    words = [*QUICK, f"paths.output_dir={tmp_path}"]
    jobs = [
        [f"model={model}", f"seed={seed}", *words] for model in ("abpn", "scsrn") for seed in (1, 2)
    ]
    jobs.append(["model=fsrcnn", "quantization=none", *words])
    sweep.check_jobs(jobs, Naming.of(jobs))
    printed = capsys.readouterr().out
    assert printed.count("abpn on an NPU, hints:") == 1
    assert "28 channels are no multiple of 8" in printed
    assert "scsrn" not in printed  # nothing to say
    assert "fsrcnn" not in printed  # it is not quantised
    assert not any(tmp_path.iterdir())


def test_a_hint_is_not_said_again_for_each_depth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "call_apart", lambda function, job: function(job))
    words = ["model=abpn", *QUICK, f"paths.output_dir={tmp_path}"]
    jobs = [[*words, f"model.num_blocks={blocks}"] for blocks in (1, 2)]
    sweep.check_jobs(jobs, Naming.of(jobs))
    printed = capsys.readouterr().out
    assert printed.count("abpn on an NPU, hints:") == 1
    assert printed.count("28 channels are no multiple of 8") == 1
