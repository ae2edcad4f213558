"""What INT8 costs, over seeds, in the modes that runs were tested in."""

from pathlib import Path
from typing import Any

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.quantization import quantization_table
from sr_experiments.reporting.tables.table import Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, find_runs
from sr_experiments.reporting.tables.xlsr_int8 import xlsr_2, xlsr_3, xlsr_5


def scores(psnr: float) -> dict[str, float]:
    return {"psnr_y": psnr + 2, "ssim_y": 0.9, "psnr_rgb": psnr, "ssim_rgb": 0.8}


def make(
    folder: Path, model: str, seed: int, drops: tuple[float, float, float], **changed: Any
) -> None:
    """A run of two stages: PTQ per channel and per tensor after the first, QAT at its end."""
    run = RunFolder(folder / f"{model}-{seed}-{len(list(folder.iterdir()))}")
    run.path.mkdir()
    run.write_config(
        {
            "seed": seed,
            "model": {"clip_output": changed.pop("clip_output", True)},
            "data": {"train": ["t91"], "seed": seed, "cache_dir": f"cache{seed}"},
            "quantization": {"_target_": "sr_experiments.quantization.PostTraining"},
            "stages": [{"name": "fp32", "resolved": {"seed": seed}}],
        }
    )
    fp32 = 30.0 + 0.1 * seed
    ptq, per_tensor, qat = (scores(fp32 - drop) for drop in drops)
    first = {"bicubic": scores(28), "fp32": scores(fp32), "ptq": ptq, "ptq_per_tensor": per_tensor}
    run.write_summary(
        {
            "status": "finished",
            "model": model,
            "scale": 3,
            "train": {"steps": 13_000},
            "stages": [
                {"name": "fp32", "quantization": "ptq", "test": {"set5": first}},
                {"name": "qat", "quantization": "qat"},
            ],
            "test": {"set5": {"bicubic": scores(28), "fp32": scores(fp32), "int8": qat}},
            "latency_ms": {"threads": 2, "size": "640x360", "median": 40.0, "spread": 1.0},
            **changed,
        }
    )


def runs_in(folder: Path) -> list[TrainedRun]:
    runs, unfinished = find_runs([str(folder)])
    assert not unfinished
    return runs


def rows_of(table: Table, whose: str) -> list[Row]:
    return [row for row in table.rows if row["whose"] == whose]


def test_each_mode_has_the_mean_and_the_deviation_of_its_drop_over_seeds(tmp_path: Path) -> None:
    for seed, ptq in ((1, 0.04), (2, 0.05), (3, 0.09)):
        make(tmp_path, "xlsr", seed, (ptq, 0.2, -0.01))
    make(tmp_path, "espcn", 1, (0.3, 0.4, 0.05), clip_output=False)
    xlsr, espcn = quantization_table(runs_in(tmp_path), {}).rows[::-1]
    assert (xlsr["model"], xlsr["set"], xlsr["seeds"]) == ("xlsr", "set5", 3)
    assert xlsr["fp32"] == pytest.approx(32.2)  # luma
    assert (xlsr["ptq"], xlsr["ptq_sd"]) == pytest.approx((0.06, 0.026458), abs=1e-6)
    assert (xlsr["ptq_per_tensor"], xlsr["qat"]) == pytest.approx((0.2, -0.01))
    assert (xlsr["ptq_aim"], xlsr["qat_aim"]) == ("reached", "reached")
    assert (espcn["seeds"], espcn["ptq"], espcn["ptq_sd"]) == (1, pytest.approx(0.3), None)
    assert "ptq_aim" not in espcn


def test_one_seed_beyond_an_aim_misses_it(tmp_path: Path) -> None:
    make(tmp_path, "xlsr", 1, (0.02, 0.2, 0.0))
    make(tmp_path, "xlsr", 2, (0.11, 0.2, 0.03))
    (row,) = quantization_table(runs_in(tmp_path), {}).rows
    assert (row["ptq_aim"], row["qat_aim"]) == ("missed", "missed")


def test_runs_of_other_lengths_are_no_seeds_of_one_another(tmp_path: Path) -> None:
    make(tmp_path, "xlsr", 1, (0.1, 0.2, 0.0))
    make(tmp_path, "xlsr", 2, (0.1, 0.2, 0.0), clip_output=False)
    assert [row["seeds"] for row in quantization_table(runs_in(tmp_path), {}).rows] == [1, 1]


def test_table_2_sets_the_linear_and_the_clipped_output_beside_the_papers(tmp_path: Path) -> None:
    make(tmp_path, "xlsr", 1, (0.05, 0.1, 0.02))
    make(tmp_path, "xlsr", 1, (0.5, 2.0, 0.03), clip_output=False)
    make(tmp_path, "espcn", 1, (0.7, 0.8, 0.9))
    table = xlsr_2(runs_in(tmp_path), {})
    assert [row["drop"] for row in rows_of(table, "paper")] == [5.39, 0.28]
    ours = [(row["name"], row["mode"], row["drop"]) for row in rows_of(table, "ours")]
    assert ours == [
        ("Linear", "ptq", pytest.approx(0.5)),
        ("Linear", "ptq_per_tensor", pytest.approx(2.0)),
        ("Linear", "qat", pytest.approx(0.03)),
        ("Clipped ReLU", "ptq", pytest.approx(0.05)),
        ("Clipped ReLU", "ptq_per_tensor", pytest.approx(0.1)),
        ("Clipped ReLU", "qat", pytest.approx(0.02)),
    ]
    assert any("espcn x3" in note for note in table.notes)


def test_table_5_has_three_networks_and_says_which_is_not_there(tmp_path: Path) -> None:
    make(tmp_path, "xlsr", 1, (0.05, 0.1, 0.02))
    make(tmp_path, "xlsr", 1, (0.5, 2.0, 0.03), clip_output=False)
    make(tmp_path, "fsrcnn", 1, (0.4, 0.6, 0.1), clip_output=False)
    table = xlsr_5(runs_in(tmp_path), {})
    assert [row["name"] for row in rows_of(table, "paper")] == ["FSRCNN", "ESPCN", "XLSR"]
    ours = rows_of(table, "ours")
    assert [row["name"] for row in ours] == ["FSRCNN"] * 3 + ["XLSR"] * 3
    assert ours[0]["fp32"] == pytest.approx(30.1)  # RGB, as the paper's
    assert ours[0]["int8"] == pytest.approx(29.7)


def test_table_3_scores_runs_as_the_challenge_did(tmp_path: Path) -> None:
    make(tmp_path, "xlsr", 1, (0.05, 0.1, 0.1))
    table = xlsr_3(runs_in(tmp_path), {}, "set5")
    first = rows_of(table, "paper")[0]
    (ours,) = rows_of(table, "ours")
    assert (first["psnr"], first["score"]) == (29.58, 51.02)
    # 2^(2 (30 - 24)) / 40, by hand
    assert (ours["psnr"], ours["score"]) == (pytest.approx(30.0), pytest.approx(4096 / 40))


def test_runs_without_an_int8_file_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "vdsr", 1, (0.05, 0.1, 0.1))
    runs = runs_in(tmp_path)
    for table in (xlsr_2, xlsr_5):
        with pytest.raises(UserError, match="no run of"):
            table(runs, {})
    with pytest.raises(UserError, match="tested in INT8 on set14"):
        xlsr_3(runs, {}, "set14")
