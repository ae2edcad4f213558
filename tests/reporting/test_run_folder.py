import multiprocessing
from pathlib import Path

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder, fingerprint

CONFIG = {"model": {"_target_": "sr_experiments.models.XLSR", "scale": 3}, "seed": 1}
PATIENCE = 300  # seconds for a new interpreter, on a busy machine


def test_an_unfinished_run_of_the_same_configuration_is_taken_up(tmp_path: Path) -> None:
    first = RunFolder.choose(tmp_path, CONFIG, resume=True)
    first.unlock()
    second = RunFolder.choose(tmp_path, {**CONFIG, "resume": True}, resume=True)
    assert second.path == first.path


def test_a_finished_run_is_never_written_again(tmp_path: Path) -> None:
    first = RunFolder.choose(tmp_path, CONFIG, resume=True)
    first.write_summary({"status": "finished"})
    first.unlock()
    assert RunFolder.choose(tmp_path, CONFIG, resume=True).path != first.path


def test_another_configuration_gets_another_folder(tmp_path: Path) -> None:
    first = RunFolder.choose(tmp_path, CONFIG, resume=True)
    first.unlock()
    assert RunFolder.choose(tmp_path, {**CONFIG, "seed": 2}, resume=True).path != first.path


def test_resume_false_makes_a_new_folder(tmp_path: Path) -> None:
    first = RunFolder.choose(tmp_path, CONFIG, resume=True)
    first.unlock()
    assert RunFolder.choose(tmp_path, CONFIG, resume=False).path != first.path


def _lock_and_hold(path: str, ready, release) -> None:  # type: ignore[no-untyped-def]
    assert RunFolder(Path(path)).lock()
    ready.set()
    release.wait(PATIENCE)


def test_a_folder_in_use_by_another_process_is_left_alone(tmp_path: Path) -> None:
    first = RunFolder.choose(tmp_path, CONFIG, resume=True)
    first.unlock()
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=_lock_and_hold, args=(str(first.path), ready, release))
    process.start()
    assert ready.wait(PATIENCE)
    try:
        assert RunFolder.choose(tmp_path, CONFIG, resume=True).path != first.path
        with pytest.raises(UserError, match="in use by another process"):
            RunFolder.choose(tmp_path, CONFIG, resume=True, name=first.path.name)
    finally:
        release.set()
        process.join()


@pytest.mark.parametrize(
    ("change", "resume"), [({"seed": 3}, True), ({}, False)], ids=["changed", "not resumed"]
)
def test_what_a_named_folder_held_before_is_set_aside_and_kept(
    change: dict[str, int], resume: bool, tmp_path: Path
) -> None:
    old = RunFolder.choose(tmp_path, CONFIG, resume=True, name="job")
    old.write_summary({"status": "finished", "params": 7})
    old.unlock()
    new = RunFolder.choose(tmp_path, {**CONFIG, **change}, resume=resume, name="job")
    assert new.path == tmp_path / "job"
    assert new.summary().get("params") is None
    assert new.in_use()
    (kept,) = (tmp_path / "earlier").iterdir()
    assert RunFolder(kept).summary()["params"] == 7
    assert not RunFolder(kept).in_use()


def test_metrics_survive_a_cut_line_and_new_columns(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_metrics({"epoch": 0, "val/psnr": 30.123456})
    folder.append_metrics({"epoch": 1, "val/psnr": 31.0})
    folder.append_metrics({"epoch": 2, "val/psnr": 31.5, "val_int8/psnr": 31.4})
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("3,31.")
    rows = folder.metrics()
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["val_int8/psnr"] == ""
    assert rows[2]["val_int8/psnr"] == "31.4"


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for epoch in range(4):
        folder.append_metrics({"epoch": epoch, "val/psnr": float(epoch)})
    folder.drop_metrics_after(1)
    folder.append_metrics({"epoch": 2, "val/psnr": 2.5})
    assert [row["val/psnr"] for row in folder.metrics()] == ["0", "1", "2.5"]


def test_the_fingerprint_ignores_only_how_the_run_is_started() -> None:
    assert fingerprint({**CONFIG, "resume": False}) == fingerprint(CONFIG)
    assert fingerprint({**CONFIG, "seed": 2}) != fingerprint(CONFIG)


def test_a_run_whose_cache_or_outputs_moved_is_the_same_run() -> None:
    here, there = (
        {
            **CONFIG,
            "paths": {"cache_dir": place, "output_dir": place},
            "stages": [{"cache_dir": place}],
        }
        for place in ("a", "b")
    )
    assert fingerprint(here) == fingerprint(there)
    read_elsewhere = {**here, "data_dir": "b"}  # other pictures may lie there
    assert fingerprint(read_elsewhere) != fingerprint({**here, "data_dir": "a"})


def test_nan_in_a_summary_becomes_null(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_summary({"int8_drop": float("nan"), "test": {"x": float("inf")}})
    assert folder.summary()["int8_drop"] is None
    assert folder.summary()["test"] == {"x": None}
