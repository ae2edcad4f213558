"""The end of a study: files, heat maps, numbers, and what they say of the paper's findings."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from safetensors.torch import save
from torch import Tensor

from sr_experiments.files import write_atomic
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.wording import counted
from sr_experiments.studies.analysis import (
    Agreement,
    Finding,
    PhaseProfile,
    agreement,
    findings,
    profiles,
)
from sr_experiments.studies.page import GRADIENT_STUDY
from sr_experiments.studies.pictures import batch_sheet, heat_maps, profile_plot
from sr_experiments.studies.policy import Schedule

__all__ = ["Results", "finish"]


@dataclass(frozen=True)
class Results:
    """What a study has when its training is over.

    Attributes:
        title: What the pictures are sorted by.
        metric: Name of the measure's class.
        ends: What its first and last pictures are.
        distances: ``exact`` and ``sketch``, those that were measured: (epochs, batches) each.
        schedule: Of the training.
        pictures: (N, 3, H, W) uint8.
        stored: Bytes of an epoch's gradients, by how they were kept.
        test: Scores by name.
        score: What validation logs.
    """

    title: str
    metric: str
    ends: tuple[str, str]
    distances: Mapping[str, Tensor]
    schedule: Schedule
    pictures: Tensor
    stored: Mapping[str, int]
    test: Mapping[str, float]
    score: str


def finish(folder: RunFolder, results: Results) -> dict[str, Any]:
    """Write ``study/`` and ``images/``, and print the tables.

    Returns:
        The values that ``summary.json`` gains.
    """
    values: dict[str, Any] = {
        "kind": GRADIENT_STUDY,
        "test": dict(results.test),
        "study": {"sorted_by": results.title, "score": results.score},
    }
    console = Console()
    if results.distances:
        values["study"] |= _measured(folder, results, console)
    scores = ", ".join(f"{name} {value:.4g}" for name, value in results.test.items())
    console.print(f"test: {scores}", highlight=False)
    return values


def _measured(folder: RunFolder, results: Results, console: Console) -> dict[str, Any]:
    distances, schedule = results.distances, results.schedule
    main = distances.get("exact", next(iter(distances.values())))
    of_epochs = [schedule.phase(epoch) for epoch in range(len(main))]
    phases = profiles(main, of_epochs)
    judged = findings(results.metric, phases)
    compared = agreement(main, distances["sketch"], of_epochs) if len(distances) > 1 else []
    tensors = {f"distances_{name}": matrix for name, matrix in distances.items()}
    tensors["pictures"] = schedule.batches.contiguous()
    write_atomic(folder.path / "study" / "distances.safetensors", save(tensors))
    for name, matrix in distances.items():
        text = io.StringIO()
        np.savetxt(text, matrix.numpy(), fmt="%.7g", delimiter=",")
        write_atomic(folder.path / "study" / f"distances_{name}.csv", text.getvalue())
    images = folder.path / "images"
    write_atomic(images / "heat_maps.png", heat_maps(main, phases, results.title, results.ends))
    write_atomic(images / "profile.png", profile_plot(phases, results.title, results.ends))
    for phase in phases:
        for word, place in (
            ("best", int(np.argmin(phase.relative))),
            ("worst", int(np.argmax(phase.relative))),
        ):
            sheet = batch_sheet(results.pictures[schedule.batches[place]])
            write_atomic(images / f"phase_{phase.phase}_{word}_batch_{place + 1}.png", sheet)
    _print(console, results, phases, judged, compared)
    return {
        "batches": main.shape[1],
        "batch_size": schedule.batches.shape[1],
        "stored_bytes": dict(results.stored),
        "phases": [phase.summary() for phase in phases],
        "findings": [asdict(finding) for finding in judged],
        "sketch": [asdict(phase) for phase in compared],
    }


def _print(
    console: Console,
    results: Results,
    phases: list[PhaseProfile],
    judged: list[Finding],
    compared: list[Agreement],
) -> None:
    table = Table(
        title=f"Distance to the full gradient, by {results.title}; 1 is the epoch's mean.\n"
        "Quarters of the metric, a tenth at either end, rank correlation with the quarter",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for column in ("phase", "epochs", "Q1", "Q2", "Q3", "Q4", "low", "middle", "high", "rank"):
        table.add_column(column, justify="right", no_wrap=True)
    for phase in phases:
        numbers = [*phase.quartiles, phase.low, phase.middle, phase.high]
        table.add_row(
            str(phase.phase),
            f"{phase.epochs[0]}-{phase.epochs[1]}",
            *(f"{number:.3f}" for number in numbers),
            f"{phase.quarter_correlation:+.2f}",
        )
    console.print(table)
    for finding in judged:
        console.print(f"{finding.verdict}: {finding.claim} ({finding.numbers})", highlight=False)
    for name, size in results.stored.items():
        console.print(f"{name}: {size / 2**20:.1f} MiB of gradients an epoch", highlight=False)
    for one in compared:
        console.print(
            f"sketch, phase {one.phase}: {one.batches} batches, {counted(one.epochs, 'epoch')}; "
            f"relative error {one.error:.2%} (worst {one.worst:.2%}), rank correlation "
            f"{one.rank_correlation:.3f} (worst {one.worst_rank_correlation:.3f})",
            highlight=False,
        )
