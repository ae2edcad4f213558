"""``scores.csv`` of a run: every metric of every test picture, so that runs can be compared."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from sr_experiments.reporting.scores import METRICS, SetScore
from sr_experiments.spreadsheet import csv_text, unshielded

FILE = "scores.csv"

ImageScores = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Set, then what ran (``bicubic``, ``fp32``, ``int8``), then picture, then metric."""


def as_csv(label: str, scale: int, sets: Mapping[str, Mapping[str, SetScore]]) -> str:
    """A row per set, runtime and image.

    Args:
        label: How the network is called.
        scale: Enlargement.
        sets: Set, then what ran.
    """
    table: list[list[object]] = [["network", "scale", "set", "runtime", "image", *METRICS]]
    for name, rows in sets.items():
        for key, score in rows.items():
            for image, scores in score.images.items():
                cells = [format(scores[metric], ".6f") for metric in METRICS]
                table.append([label, scale, name, key, image, *cells])
    return csv_text(table)


def read_scores(run: Path) -> ImageScores:
    """Scores of a run's test pictures; rows that are damaged are left out.

    Args:
        run: Its folder.

    Returns:
        Nothing where there is no file.
    """
    try:
        text = (run / FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        try:
            scores = {metric: float(row[metric]) for metric in METRICS}
            place = found.setdefault(row["set"], {}).setdefault(row["runtime"], {})
            name = unshielded(row["image"])
        except (KeyError, TypeError, ValueError):
            continue
        if not any(math.isnan(score) for score in scores.values()):
            place[name] = scores
    return found
