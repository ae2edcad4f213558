"""Finished runs as rows of a table, read from their folders' summaries and configurations.

Only data are read, never code or weights: a folder may come from a stranger.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.reporting.run_folder import RunFolder, stage_configs
from sr_experiments.reporting.run_paths import run_paths
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.wording import counted


@dataclass(frozen=True)
class FinishedRun:
    """A run that came to its end.

    Attributes:
        path: Its folder.
        summary: Content of ``summary.json``.
        config: Content of ``config.yaml``.
    """

    path: Path
    summary: Mapping[str, Any]
    config: Mapping[str, Any]


class TrainedRun(FinishedRun):
    """Of a network that enlarges."""

    @property
    def model(self) -> str:
        """Option of ``conf/model``."""
        return str(self.summary["model"])

    @property
    def scale(self) -> int:
        """Enlargement."""
        return int(self.summary["scale"])

    def score(self, set_name: str, metric: str) -> tuple[float | None, bool]:
        """A metric on a test set, and whether it is of the INT8 file (else of FP32)."""
        scores = self.summary.get("test", {}).get(set_name, {})
        for name in ("int8", "fp32"):
            if name in scores:
                return scores[name][metric], name == "int8"
        return None, False

    def changed(self, entry: Entry) -> list[str]:
        """Options of the network that are not as in its YAML, as words of a command line."""
        options = self.config.get("model", {})
        return [
            f"model.{key}={value}"
            for key, value in options.items()
            if not key.startswith("_") and entry.config.get(key) != value
        ]

    @property
    def processor(self) -> str | None:
        """The CPU it was trained and timed on; None where that is not known."""
        try:
            text = (self.path / "environment.json").read_text(encoding="utf-8")
            return str(json.loads(text)["cpu"]["model"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def recipe(self) -> str:
        """How it was trained, in a few words."""
        nodes = stage_configs(self.config)
        sets = dict.fromkeys(
            str(spec).partition(":")[0]
            for node in nodes
            for spec in node.get("data", {}).get("train", [])
        )
        steps = self.summary.get("train", {}).get("steps")
        modes = (str(node.get("quantization", {}).get("_target_", "")) for node in nodes)
        kinds = " and ".join(dict.fromkeys(mode.rpartition(".")[2] for mode in modes if mode))
        length = "trained" if steps is None else f"{steps:,} steps"
        images = ", ".join(sets) or "unknown images"
        return f"{length} on {images}" + (f", quantization {kinds}" if kinds else "")


def find_runs(folders: Sequence[str]) -> tuple[list[TrainedRun], dict[str, str]]:
    """Runs in folders, and those that are not finished with the reason.

    Args:
        folders: Run folders, or folders that hold some, such as a sweep's.

    Raises:
        UserError: A folder is not there, or holds no run.
    """
    runs: list[TrainedRun] = []
    unfinished: dict[str, str] = {}
    for path in run_paths(folders):
        summary = RunFolder(path).summary()
        if summary.get("status") != "finished" or not {"model", "scale"} <= summary.keys():
            unfinished[str(path)] = str(summary.get("status", "damaged"))
            continue
        runs.append(TrainedRun(path, summary, RunFolder(path).config()))
    return runs, unfinished


def find_kind(
    folders: Sequence[str], kind: str
) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Finished runs of one kind of task: folder, ``summary.json`` and ``config.yaml`` of each.

    Args:
        folders: Run folders, or folders that hold some.
        kind: ``kind`` of the summaries.

    Raises:
        UserError: A folder is not there, or holds no run.
    """
    for path in run_paths(folders):
        summary = RunFolder(path).summary()
        if summary.get("status") == "finished" and summary.get("kind") == kind:
            yield path, summary, RunFolder(path).config()


def pick(runs: Sequence[TrainedRun], entry: Entry, scale: int) -> TrainedRun | None:
    """The run that stands for a network: of its own options if there is one, and the last such."""
    fitting = [run for run in runs if run.model == entry.name and run.scale == scale]
    own = [run for run in fitting if not run.changed(entry)]
    return ([None, *fitting, *own])[-1]


def notes_on(
    runs: Sequence[TrainedRun], used: Sequence[TrainedRun], unfinished: Mapping[str, str]
) -> Iterator[str]:
    """Sentences on runs that were left out, and on how the others were trained."""
    recipes: dict[str, int] = {}
    for run in used:
        recipes[run.recipe] = recipes.get(run.recipe, 0) + 1
    for recipe, count in recipes.items():
        yield f"Ours: {counted(count, 'run')}, {recipe}."
    others = [run for run in runs if run not in used]
    if others:
        named = ", ".join(f"{run.model} x{run.scale}" for run in others)
        yield f"Given, but in no row: {named}."
    for path, status in unfinished.items():
        yield f"Left out, {status}: {path}."
