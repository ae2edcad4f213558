"""The challenges' own tables give their scores back."""

import pytest

from sr_experiments.deploy.challenge import challenge_score


@pytest.mark.parametrize(
    ("psnr", "milliseconds", "score"),
    [(29.58, 44.85, 51.02), (29.41, 38.32, 47.18), (29.52, 62.25, 33.82), (28.82, 76.61, 10.41)],
)
def test_mobile_ai_2021_is_the_xlsr_papers_table_3(
    psnr: float, milliseconds: float, score: float
) -> None:
    assert challenge_score(psnr, milliseconds, 2021) == pytest.approx(score, rel=0.003)


@pytest.mark.parametrize(
    ("psnr", "milliseconds", "score"),
    [(30.03, 19.2, 22.22), (29.88, 15.9, 21.84), (29.82, 15.1, 21.08), (29.76, 15.0, 19.59)],
)
def test_mobile_ai_2022_is_the_reports_table_1(
    psnr: float, milliseconds: float, score: float
) -> None:
    assert challenge_score(psnr, milliseconds, 2022) == pytest.approx(score, rel=0.003)
