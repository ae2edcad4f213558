"""The Swift-SRGAN paper's tables II and III with ours beside them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_experiments.configuration.networks import network
from sr_experiments.errors import UserError
from sr_experiments.reporting.tables import swift_srgan_2, swift_srgan_3
from sr_experiments.reporting.tables.half_precision import HalfScores
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.tables.table import Table
from sr_experiments.reporting.tables.trained import TrainedRun

SCORES = {"psnr_y": 29.0, "ssim_y": 0.82, "psnr_rgb": 27.0, "ssim_rgb": 0.8}


def run(model: str, scale: int = 4, **summary: Any) -> TrainedRun:
    tests = {
        "set5": {"bicubic": SCORES, "fp32": SCORES, "int8": SCORES | {"psnr_y": 28.75}},
    }
    return TrainedRun(Path(model), {"model": model, "scale": scale, "test": tests} | summary, {})


def test_table_2_has_every_printed_figure_and_each_run_below_its_own() -> None:
    stages = [{"name": "first", "task": "regression"}, {"name": "second", "task": "gan"}]
    runs = [
        run("swift_srgan", stages=stages, params=35_385),
        run("srresnet"),
        run("swift_srgan", scale=2),
    ]
    table = swift_srgan_2.table(runs, HalfScores(), {})
    first, second = table.groups
    printed = [
        (row["set"], row["psnr"], row["ssim"]) for row in table.rows if row["whose"] == "paper"
    ]
    assert printed == [
        ("set5", 32.7, 0.9011), ("set5", 29.40, 0.8501), ("set5", 25.13, 0.7940),
        ("set14", 28.7, 0.7917), ("set14", 26.02, 0.7397), ("set14", 23.29, 0.7012),
    ]  # fmt: skip
    ours = [row for row in first if str(row["whose"]).startswith("ours:")]
    assert [(row["method"], row["whose"]) for row in ours] == [
        ("SRGAN", "ours: regression"),
        ("Swift-SRGAN", "ours: regression, gan"),
    ]
    assert [row["parameters"] for row in ours] == [None, 35_385]
    assert ours[1]["drop"] == pytest.approx(0.25)
    assert len(second) == 3
    assert any("rrdb" in note for note in table.notes)
    assert any("swift_srgan x2" in note for note in table.notes)


def small(name: str) -> Entry:
    entry = network(name, 4)
    narrow = {"channels": 4, "num_blocks": 1} | ({"growth": 2} if name == "rrdb" else {})
    return replace(entry, config={**entry.config, **narrow})


def test_table_3_times_every_network_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {(9, 16): {"SRGAN": 812.0, "ESRGAN": 974.0, "Swift-SRGAN": 5.605}}
    monkeypatch.setattr(swift_srgan_3, "SWIFT_SRGAN_TABLE_3", frames)
    monkeypatch.setattr(swift_srgan_3, "peak_memory", lambda *_: 12.0)
    table = swift_srgan_3.table(small, device="cpu", threads=1, repeats=2, patience=60)
    assert len(table.rows) == 9
    for row in table.rows:
        assert row["runs"] == 2
        assert row["memory"] == 12
        assert isinstance(row["ms"], float)
        assert row["ms"] > 0
        if row["method"] == "Swift-SRGAN":
            assert row["slower"] == 1
    assert {row["paper_ms"] for row in table.rows} == {812.0, 974.0, 5.605}
    swift = next(row for row in table.rows if row["method"] == "Swift-SRGAN")
    alone = swift_srgan_3.table(
        small, device="cpu", threads=1, repeats=1, patience=60, models=["swift_srgan"]
    )
    assert {row["method"] for row in alone.rows} == {"Swift-SRGAN"}
    assert alone.rows[0]["gmacs"] == swift["gmacs"]
    with pytest.raises(UserError, match="table=swift_srgan_3 is of rrdb"):
        swift_srgan_3.table(small, device="cpu", threads=1, repeats=1, patience=1, models=["xlsr"])


def test_a_large_frame_beyond_the_time_or_the_memory_is_left_out_by_the_small_ones_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = {size: {"Swift-SRGAN": 5.0} for size in ((4, 8), (8, 16))}
    monkeypatch.setattr(swift_srgan_3, "SWIFT_SRGAN_TABLE_3", frames)
    monkeypatch.setattr(swift_srgan_3, "peak_memory", lambda *_: 1024.0)

    def large(limit: float, free: float) -> list[Any]:
        monkeypatch.setattr(swift_srgan_3, "available_memory", lambda: free)
        table = swift_srgan_3.table(
            small,
            device="cpu",
            threads=1,
            repeats=1,
            patience=60,
            limit=limit,
            models=["swift_srgan"],
        )
        first, second = table.groups
        assert all(isinstance(row["ms"], float) for row in first)
        assert [row["runtime"] for row in second] == [row["runtime"] for row in first]
        return [row["ms"] for row in second]

    assert all(isinstance(found, float) for found in large(60, 4097))
    assert large(60, 4095) == ["left out: about 4.0 GiB"] * 3
    assert all(re.fullmatch(r"left out: about \d+ s", found) for found in large(0, 4097))
    assert swift_srgan_3.Need(100, 7.0, 10.0).at(400) == swift_srgan_3.Need(400, 28.0, 40.0)


def test_an_interrupted_table_has_the_rows_that_were_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = {size: {"Swift-SRGAN": 5.0} for size in ((4, 8), (8, 16))}
    monkeypatch.setattr(swift_srgan_3, "SWIFT_SRGAN_TABLE_3", frames)
    monkeypatch.setattr(swift_srgan_3, "peak_memory", lambda *_: 1.0)

    def interrupted(begun: str) -> Table:
        def advance(doing: str) -> None:
            if begun in doing:
                raise KeyboardInterrupt

        return swift_srgan_3.table(
            small,
            device="cpu",
            threads=1,
            repeats=1,
            patience=60,
            models=["swift_srgan"],
            advance=advance,
        )

    table = interrupted("16x8")
    assert [row["frame"] for row in table.rows] == ["8x4 x4"] * 3
    assert table.notes[-1].startswith("Interrupted")
    with pytest.raises(KeyboardInterrupt):
        interrupted("8x4")


def test_what_makes_no_pictures_is_not_timed() -> None:
    class Black:
        def predict(self, low_res: np.ndarray) -> np.ndarray:
            return np.zeros((1, 96, 96, 3), np.float32)

    class Small:
        def predict(self, low_res: np.ndarray) -> np.ndarray:
            return low_res.astype(np.float32)

    with pytest.raises(UserError, match="black makes no picture"):
        swift_srgan_3.check_picture(Black(), "black")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="makes \\(1, 24, 24, 3\\) of"):
        swift_srgan_3.check_picture(Small(), "small")  # type: ignore[arg-type]
