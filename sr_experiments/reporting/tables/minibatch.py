"""``table=minibatch``: the findings of "What's the best mini-batch?", judged over several seeds.

Runs that differ in nothing but the seed have the same batches; their epochs are joined, each
divided by its own mean, before anything is judged.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.reporting.tables.study_runs import StudyRun, alike
from sr_experiments.reporting.tables.table import BAD, GOOD, Cell, Column, Row, Table
from sr_experiments.studies.analysis import PhaseProfile, agreement, findings, profiles

__all__ = ["minibatch_table"]

ORDERS = {"none": "sorted", "batches": "shuffled"}


def minibatch_table(runs: Sequence[StudyRun]) -> Table:
    """A row for each phase of each group of runs.

    Args:
        runs: As `find_studies` gives them; those without distances are left out.

    Raises:
        UserError: None has distances.
    """
    measured = [run for run in runs if run.measured]
    if not measured:
        raise UserError(
            "runs=: no finished study with distances is there: sweep=minibatch has some"
        )
    return Table(
        name="minibatch",
        title="Which mini-batches stand for the whole set?",
        about="Distance to the full gradient as a share of the epoch's mean, by phase; and what "
        "that says of the paper's findings.",
        columns=_columns(),
        groups=[list(_rows(group)) for group in alike(measured)],
        notes=[
            "Quarters are of the batches in the metric's order. Supported: every part of the "
            "finding holds for the mean over all runs, and fewer than one in twenty groups of "
            "batches drawn at random go as far; in part: some of it does.",
            "A control has batches drawn at random: whatever is supported there is chance.",
        ],
        sortable=False,
    )


def _rows(group: Sequence[StudyRun]) -> Iterator[Row]:
    matrices, of_epochs = zip(*(_matrices(run) for run in group), strict=True)
    main = [next(iter(matrix.values())) for matrix in matrices]
    each = [profiles(part, phases) for part, phases in zip(main, of_epochs, strict=True)]
    joined = [phase for phases in of_epochs for phase in phases]
    relative = torch.cat([part / part.mean(1, keepdim=True) for part in main])
    first = group[0]
    metric = str(first.config["task"]["metric"]["_target_"]).rpartition(".")[2]
    together = profiles(relative, joined)
    judged = _by_phase(metric, together)
    singly = [_by_phase(metric, one) for one in each]
    sketched = [
        agreement(matrix["exact"], matrix["sketch"], phases)
        for matrix, phases in zip(matrices, of_epochs, strict=True)
        if {"exact", "sketch"} <= set(matrix)
    ]
    for index, phase in enumerate(together):
        correlations = [one[index].quarter_correlation for one in each]
        row: dict[str, Cell] = {
            "network": str(first.summary["model"]),
            "metric": str(first.study["sorted_by"]),
            "order": ORDERS[str(first.policy["shuffle"])],
            "runs": len(group),
            "phase": phase.phase,
            "epochs": "{}-{}".format(*first.study["phases"][index]["epochs"]),
            "low": phase.low,
            "middle": phase.middle,
            "high": phase.high,
            "correlation": phase.quarter_correlation,
            "spread": stdev(correlations) if len(group) > 1 else None,
        }
        row |= {f"q{quarter + 1}": value for quarter, value in enumerate(phase.quartiles)}
        if judged[index] is not None:
            claim, verdict = judged[index]
            agreeing = sum(one[index][1] == "supported" for one in singly)
            row |= {"finding": claim, "verdict": verdict, "seeds": f"{agreeing} of {len(group)}"}
        if sketched:
            row["sketch_error"] = fmean(one[index].error for one in sketched) * 100
            row["sketch_worst"] = max(one[index].worst for one in sketched) * 100
            row["sketch_rank"] = fmean(one[index].rank_correlation for one in sketched)
        yield row


def _matrices(run: StudyRun) -> tuple[dict[str, Tensor], list[int]]:
    """Distances by how they were kept, and the phase of each epoch."""
    tensors = load_file(run.path / "study" / "distances.safetensors")
    names = ("exact", "sketch")
    found = {name: tensors[f"distances_{name}"] for name in names if f"distances_{name}" in tensors}
    of_epochs = [
        phase["phase"] - 1
        for phase in run.study["phases"]
        for _ in range(phase["epochs"][0], phase["epochs"][1] + 1)
    ]
    return found, of_epochs


def _by_phase(metric: str, phases: Sequence[PhaseProfile]) -> list[Any]:
    """Claim and verdict of each phase; None for one of which the paper says nothing."""
    found = findings(metric, phases)
    by_name = {one.claim.partition(":")[0]: one for one in found}
    return [
        None if one is None else (one.claim.partition(": ")[2], one.verdict)
        for one in (by_name.get(f"phase {phase.phase}") for phase in phases)
    ]


def _judge(cell: Cell) -> str:
    return {"supported": GOOD, "not supported": BAD}.get(str(cell), "")


def _columns() -> list[Column]:
    return [
        Column("network", "network"),
        Column("metric", "sorted by"),
        Column("order", "trained", help="in the metric's order, or the same batches shuffled"),
        Column("runs", "runs", "d"),
        Column("phase", "phase", "d"),
        Column("epochs", "epochs", room=180),
        *(Column(f"q{quarter}", f"Q{quarter}", ".3f") for quarter in (1, 2, 3, 4)),
        Column("low", "low", ".3f", help="the tenth of the batches at the low end"),
        Column("middle", "middle", ".3f", help="the batches between the ends"),
        Column("high", "high", ".3f", help="the tenth at the high end"),
        Column("correlation", "rank", "+.2f", help="Spearman's, of a batch's quarter and distance"),
        Column("spread", "+-", ".2f", help="of it over the runs: sample standard deviation"),
        Column("finding", "the paper's finding", room=200),
        Column("verdict", "here", judge=_judge),
        Column("seeds", "by run", help="runs that support it by themselves", room=150),
        Column(
            "sketch_error", "sketch, %", ".2f", help="mean error of sketched distances", room=170
        ),
        Column("sketch_worst", "worst, %", ".2f", room=200),
        Column("sketch_rank", "ranks", ".3f", help="Spearman's, sketched and exact", room=170),
    ]
