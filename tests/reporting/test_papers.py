"""The transcribed tables agree with what their own papers say of the numbers in them."""

import pytest

from sr_experiments.configuration.locations import groups
from sr_experiments.reporting.papers import (
    MOBILE_AI_2022,
    XLSR_TABLE_1,
    XLSR_TABLE_4,
    XLSR_TABLE_4_METHODS,
    XLSR_TABLE_5,
)

TIMED = [row for row in MOBILE_AI_2022 if row.npu_ms is not None]


def test_table_1_of_the_report_has_its_24_teams_and_three_baselines() -> None:
    assert len(MOBILE_AI_2022) == 24 + 3
    assert len(TIMED) == 24 + 1
    assert len({row.team for row in MOBILE_AI_2022}) == len(MOBILE_AI_2022)


def test_speed_up_is_the_cpus_time_by_the_npus() -> None:
    for row in TIMED:
        assert row.cpu_ms is not None
        assert row.speed_up is not None
        assert row.npu_ms is not None
        # Both times are rounded too: half a millisecond, and a twentieth.
        low, high = (
            (row.cpu_ms - 0.5) / (row.npu_ms + 0.05),
            (row.cpu_ms + 0.5) / (row.npu_ms - 0.05),
        )
        assert low - 0.05 <= row.speed_up <= high + 0.05, row.team


def test_every_score_follows_from_psnr_and_npu_time() -> None:
    for row in TIMED:
        assert row.npu_ms is not None
        score = 2 ** (2 * (row.psnr - 24)) / (10 * row.npu_ms)
        # PSNR has two decimals, so 2^(2 PSNR) is known to 0.7 %.
        assert row.score == pytest.approx(score, rel=0.01), row.team


def test_teams_are_ranked_by_score() -> None:
    scores = [row.score or 0 for row in TIMED]
    assert scores == sorted(scores, reverse=True)


def test_every_network_of_the_report_is_one_of_ours() -> None:
    assert {row.model for row in MOBILE_AI_2022} <= set(groups()["model"])


def test_drops_of_xlsr_table_5_are_the_differences_of_its_rows() -> None:
    for floating, quantised, drop in XLSR_TABLE_5.values():
        assert drop == pytest.approx(floating - quantised, abs=1e-9)


def test_xlsr_table_4_repeats_what_table_5_says_of_xlsr() -> None:
    position = XLSR_TABLE_4_METHODS.index("XLSR")
    assert XLSR_TABLE_4["div2k:val"][position] == XLSR_TABLE_5["XLSR"][0]
    assert all(len(row) == len(XLSR_TABLE_4_METHODS) for row in XLSR_TABLE_4.values())


def test_xlsr_has_a_thirtieth_of_vdsrs_parameters_as_its_conclusion_says() -> None:
    counts = {name: float(printed[:-1]) for name, printed in XLSR_TABLE_1.items()}
    assert round(counts["VDSR"] / counts["XLSR"]) == 30
