"""A resumed run goes on with the pictures that it began with, or not at all.

Batches are a function of the seed, the iteration and the pictures. Were a picture added, removed
or edited between two starts, the run would end with weights that no undisturbed run has, and its
``config.yaml`` would not tell. A set that moved, or was only touched, is the same set.
"""

import json
from typing import Protocol, runtime_checkable

from sr_experiments.errors import UserError
from sr_experiments.files import write_json
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks import TrainingData


@runtime_checkable
class Identified(Protocol):
    """A data set that can be recognised."""

    def identity(self) -> dict[str, str]:
        """Words on each part, by key of the group ``data``, that change with its pictures."""


def check_same_data(folder: RunFolder, stage: int, data: TrainingData) -> None:
    """Compare with what ``environment.json`` says of a stage; the first time, write it there.

    Args:
        folder: With its ``environment.json``.
        stage: Number of the stage.
        data: Set up. One that cannot be recognised is believed.

    Raises:
        UserError: Pictures have changed since the run began.
    """
    if not isinstance(data, Identified):
        return
    file = folder.path / "environment.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    stages, now = record.setdefault("data", {}), data.identity()
    if str(stage) not in stages:
        stages[str(stage)] = now
        write_json(file, record)
    for part, words in now.items():
        before = stages[str(stage)].get(part, words)
        if before != words:
            raise UserError(
                f"the pictures of data.{part} have changed since {folder.path} began: then "
                f"{before}, now {words}\n  put them back and the same command goes on, or "
                "begin anew with resume=false"
            )
