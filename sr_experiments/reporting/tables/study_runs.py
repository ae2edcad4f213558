"""Finished runs of the mini-batch study, gathered by what they have in common."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.trained import FinishedRun, find_kind
from sr_experiments.studies.page import GRADIENT_STUDY

__all__ = ["StudyRun", "alike", "find_studies"]

SEEDED = (("seed",), ("data", "seed"), ("task", "seed"), ("task", "metric", "seed"))
ELSEWHERE = ("paths", "logger", "run_name", "resume")  # where a run is, not what it is


class StudyRun(FinishedRun):
    """Of the mini-batches."""

    @property
    def study(self) -> Mapping[str, Any]:
        """What the study wrote into the summary."""
        found: Mapping[str, Any] = self.summary["study"]
        return found

    @property
    def policy(self) -> Mapping[str, Any]:
        """The node ``task.policy``."""
        found: Mapping[str, Any] = self.config["task"]["policy"]
        return found

    @property
    def measured(self) -> bool:
        """Whether it has a matrix of distances."""
        return "phases" in self.study

    @property
    def seed(self) -> int:
        """Root key of the config."""
        return int(self.config["seed"])

    @property
    def test(self) -> float:
        """The first of its test scores."""
        return float(next(iter(self.summary["test"].values())))

    def scores(self, phases: int) -> list[float]:
        """Validation score at the end of each phase."""
        rows = RunFolder(self.path).metrics()
        ends = [round((phase + 1) * len(rows) / phases) - 1 for phase in range(phases)]
        return [float(rows[end][self.study["score"]]) for end in ends]

    def but_for(self, *left_out: Sequence[str]) -> str:
        """Its config as text without some nodes, to be compared with another's.

        What is null or empty counts as absent, as it is in runs from before there was such a key.
        """
        kept = json.loads(json.dumps(dict(self.config)), object_hook=_without_empty)
        for key in (*((name,) for name in ELSEWHERE), *left_out):
            node: Any = kept
            for name in key[:-1]:
                node = node.get(name, {})
            node.pop(key[-1], None)
        return json.dumps(kept, sort_keys=True)


def _without_empty(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if value not in (None, {}, [])}


def find_studies(folders: Sequence[str]) -> list[StudyRun]:
    """Finished studies below folders.

    Raises:
        UserError: A folder is not there.
    """
    return [StudyRun(*found) for found in find_kind(folders, GRADIENT_STUDY)]


def alike(runs: Iterable[StudyRun], *left_out: Sequence[str]) -> list[list[StudyRun]]:
    """Runs that differ in nothing but seeds, and in the nodes that are left out."""
    groups: dict[str, list[StudyRun]] = {}
    for run in runs:
        groups.setdefault(run.but_for(*SEEDED, *left_out), []).append(run)
    return list(groups.values())
