"""Two runs on the same pictures: the difference of each, and how sure the mean of it is.

Pictures differ far more from each other than networks do, so runs are compared picture by picture.
The interval is Student's for the mean of the differences, as for a sample of pictures of that
kind. It says nothing of what another seed of training would have given.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sr_experiments.reporting.comparison.members import Member
from sr_experiments.reporting.scores import LABELS
from sr_experiments.reporting.tables.table import BAD, GOOD, Cell, Column, Table

CONFIDENCE = 0.95
METRIC = "psnr_y"
BASELINE = "bicubic"


@dataclass(frozen=True)
class Difference:
    """One run less another on one set.

    Attributes:
        label: Of the run.
        set_name: Test set.
        kind: What ran: ``fp32``, ``int8``.
        images: Scores of the run and of the other, in dB, by picture.
    """

    label: str
    set_name: str
    kind: str
    images: Mapping[str, tuple[float, float]]

    @property
    def values(self) -> list[float]:
        """Difference of each picture, in dB; positive where the run is better."""
        return [ours - other for ours, other in self.images.values()]

    @property
    def mean(self) -> float:
        """Mean of the differences, in dB."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the mean lies with a confidence of 95 %, in dB; None of a single picture."""
        return confidence_interval(self.values)


def confidence_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean; None of fewer than two values.

    Example:
        >>> low, high = confidence_interval([0.1, 0.2, 0.3])
        >>> round(low, 4), round(high, 4)
        (-0.0484, 0.4484)
    """
    if len(values) < 2:
        return None
    from scipy.stats import sem, t

    error = float(sem(values))
    mean = fmean(values)
    if error == 0:
        return mean, mean
    low, high = t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=error)
    return float(low), float(high)


def differences(member: Member, other: Member) -> Iterator[Difference]:
    """Of every set and kind that both have the same pictures of."""
    for set_name, by_kind in member.scores.items():
        if member.scale != other.scale:
            return
        for kind, images in by_kind.items():
            against = other.scores.get(set_name, {}).get(kind, {})
            common = {
                name: (scores[METRIC], against[name][METRIC])
                for name, scores in images.items()
                if name in against
            }
            if kind != BASELINE and common:
                yield Difference(member.label, set_name, kind, common)


def differences_table(members: Sequence[Member], name: str) -> Table | None:
    """Every run less the first.

    Args:
        members: The one that the others are compared with is the first.
        name: Stem of the table's files.

    Returns:
        None where no two runs have scores of the same pictures.
    """
    first, *others = members
    found = [item for member in others for item in differences(member, first)]
    if not found:
        return None
    several = len(others) > 1
    return Table(
        name=name,
        title=f"Less {first.label}" if several else f"{others[0].label} less {first.label}",
        about=f"Luma PSNR on the same pictures, in dB, less that of {first.label}.",
        columns=[
            *([Column("run", "run")] if several else []),
            Column("set", "set"),
            Column("kind", "file"),
            Column("mean", "mean, dB", "+.3f"),
            Column("low", "from", "+.3f", help="lower end of the 95 % interval of the mean"),
            Column("high", "to", "+.3f", help="upper end"),
            Column("sure", "verdict", judge=_judge),
            Column("better", "better on"),
            Column("images", "pictures", ",d"),
        ],
        groups=[[_row(item) for item in found]],
        notes=[
            "The interval is Student's over the pictures of a set, in pairs. It is about other "
            "pictures of that kind, not about another seed of training.",
        ],
    )


def _row(item: Difference) -> dict[str, Cell]:
    ends = item.interval
    better = sum(value > 0 for value in item.values)
    sure = ends is not None and (ends[0] > 0 or ends[1] < 0)
    return {
        "run": item.label,
        "set": item.set_name,
        "kind": LABELS.get(item.kind, item.kind),
        "mean": item.mean,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "sure": ("better" if item.mean > 0 else "worse") if sure else "unsure",
        "better": f"{better} of {len(item.values)}",
        "images": len(item.values),
    }


def _judge(cell: Cell) -> str:
    return {"better": GOOD, "worse": BAD}.get(str(cell), "")


def images_table(member: Member, other: Member, name: str) -> Table | None:
    """Two runs picture by picture; None where they have none in common."""
    rows: dict[tuple[str, str], dict[str, Cell]] = {}
    kinds: dict[str, str] = {}
    for item in differences(member, other):
        kinds[item.kind] = LABELS.get(item.kind, item.kind)
        for image, (ours, others) in item.images.items():
            row = rows.setdefault((item.set_name, image), {"set": item.set_name, "image": image})
            values = {"other": others, "ours": ours, "difference": ours - others}
            row |= {f"{item.kind} {key}": value for key, value in values.items()}
    if not rows:
        return None
    columns = [Column("image", "picture"), Column("set", "set")]
    for kind, title in kinds.items():
        columns += [
            Column(f"{kind} other", f"{other.label} {title}", ".2f"),
            Column(f"{kind} ours", f"{member.label} {title}", ".2f"),
            Column(f"{kind} difference", f"{title} difference", "+.3f", judge=_sign),
        ]
    return Table(
        name=name,
        title="Picture by picture",
        about=f"Luma PSNR in dB; the difference is {member.label} less {other.label}.",
        columns=columns,
        groups=[list(rows.values())],
    )


def _sign(cell: Cell) -> str:
    if not isinstance(cell, int | float) or math.isclose(cell, 0, abs_tol=0.0005):
        return ""
    return GOOD if cell > 0 else BAD
