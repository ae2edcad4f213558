"""``table=minibatch_policies``: training on chosen mini-batches beside ordinary training.

Every run of a comparison has as many steps of as many pictures. Differences are taken seed by
seed: the networks of a pair start from the same weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from sr_experiments.errors import UserError
from sr_experiments.reporting.tables.study_runs import StudyRun, alike
from sr_experiments.reporting.tables.table import BAD, GOOD, Cell, Column, Row, Table

__all__ = ["minibatch_policies"]

PHASES = 3
WHOLE = {"none": "batches in order", "batches": "batches shuffled", "pictures": "pictures shuffled"}


def minibatch_policies(runs: Sequence[StudyRun]) -> Table:
    """A row for each policy, the best first, with random order on top.

    Args:
        runs: As `find_studies` gives them.

    Raises:
        UserError: No policy was trained, or none beside random order.
    """
    trained = [run for run in runs if not run.measured]
    groups = [
        list(_rows(group)) for group in alike(trained, ("task", "policy"), ("task", "metric"))
    ]
    if not trained:
        raise UserError("runs=: no finished study of a policy: sweep=minibatch_policies has some")
    return Table(
        name="minibatch_policies",
        title="Training on chosen mini-batches",
        about="Scores after the same number of steps, mean over the seeds, and seed by seed "
        "against ordinary training (all pictures in new random batches).",
        columns=_columns(trained[0]),
        groups=groups,
        notes=["Shares are of the pictures in the metric's order, lowest first; / parts phases."],
        sortable=False,
    )


def describe(policy: Mapping[str, Any], metric: str) -> str:
    """A policy in words, such as ``batches shuffled: image intensity 75-100 / 10-90 / 10-90 %``.

    Args:
        policy: The node of the config.
        metric: What the pictures are sorted by.
    """
    parts = [] if policy["keep"] is None else [f"{metric} {_shares(policy['keep'])}"]
    also: Mapping[str, Any] = policy.get("also") or {}
    parts += [f"{name} {_shares(other['keep'])}" for name, other in also.items()]
    return ": ".join([WHOLE[policy["shuffle"]], *([", ".join(parts)] if parts else [])])


def _shares(keep: Sequence[Sequence[Sequence[float]]]) -> str:
    phases = [
        " and ".join(f"{100 * low:g}-{100 * high:g}" for low, high in phase) for phase in keep
    ]
    return (phases[0] if len(set(phases)) == 1 else " / ".join(phases)) + " %"


def _ordinary(run: StudyRun) -> bool:
    policy = run.policy
    return policy["shuffle"] == "pictures" and policy["keep"] is None and not policy.get("also")


def _rows(runs: Sequence[StudyRun]) -> Iterator[Row]:
    """Rows of one network and data set."""
    by_policy: dict[str, list[StudyRun]] = {}
    for run in runs:
        name = describe(run.policy, str(run.study["sorted_by"]))
        by_policy.setdefault(name, []).append(run)
    ordinary = {run.seed: run for run in runs if _ordinary(run)}
    order = sorted(
        by_policy.items(),
        key=lambda item: (not _ordinary(item[1][0]), -fmean(run.test for run in item[1])),
    )
    for name, group in order:
        row: dict[str, Cell] = {"policy": name, "runs": len(group)}
        scores = [run.scores(PHASES) for run in group]
        for phase in range(PHASES):
            row |= _mean(f"phase_{phase + 1}", [one[phase] for one in scores])
        row |= _mean("test", [run.test for run in group])
        pairs = [(run, ordinary[run.seed]) for run in group if run.seed in ordinary]
        if pairs and not _ordinary(group[0]):
            early = [a.scores(PHASES)[0] - b.scores(PHASES)[0] for a, b in pairs]
            gains = [a.test - b.test for a, b in pairs]
            row |= _mean("early", early) | _mean("gain", gains)
            row["sooner"] = f"{sum(gain > 0 for gain in early)} of {len(pairs)}"
            row["better"] = f"{sum(gain > 0 for gain in gains)} of {len(pairs)}"
        yield row


def _mean(key: str, values: Sequence[float]) -> dict[str, Cell]:
    spread = stdev(values) if len(values) > 1 else None
    return {key: fmean(values), f"{key}_spread": spread}


def _columns(run: StudyRun) -> list[Column]:
    places = ".2f" if run.study["score"] == "val/psnr" else ".3f"
    columns = [Column("policy", "what trains"), Column("runs", "runs", "d")]
    for key, title, form, room in (
        ("phase_1", "phase 1", places, 0),
        ("phase_2", "phase 2", places, 150),
        ("phase_3", "phase 3", places, 150),
        ("test", "test", places, 0),
        ("early", "phase 1 - random", f"+{places}", 0),
        ("gain", "test - random", f"+{places}", 0),
    ):
        columns += [
            Column(key, title, form, room=room, judge=_judge if key == "gain" else _neutral),
            Column(f"{key}_spread", "+-", places, room=room),
        ]
    return [
        *columns,
        Column("sooner", "sooner in", help="seeds, by the score after phase 1"),
        Column("better", "better in", help="seeds, on the test pictures"),
    ]


def _judge(cell: Cell) -> str:
    return (GOOD if float(cell) > 0 else BAD) if isinstance(cell, int | float) else ""


def _neutral(cell: Cell) -> str:
    return ""
