"""The runs of a page, read from their folders: data only, for a folder may come from a stranger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL.Image import Image

from sr_experiments.errors import UserError
from sr_experiments.reporting.image_scores import ImageScores, read_scores
from sr_experiments.reporting.panels import read_panels
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.run_paths import SUMMARY, run_paths

Panels = Mapping[tuple[str, str], Sequence[Image]]
UNREAD = "unknown"


@dataclass(frozen=True)
class Member:
    """One run of a page.

    Attributes:
        label: As short as tells it from the others.
        folder: Its folder.
        summary: Content of ``summary.json``.
        network: Class of its network.
        scores: Of every test picture; empty where the run kept none.
        fresh: Panels that were made for this page; None: those that the run kept.
    """

    label: str
    folder: RunFolder
    summary: Mapping[str, Any]
    network: str = UNREAD
    scores: ImageScores = field(default_factory=dict)
    fresh: Panels | None = None

    @cached_property
    def panels(self) -> Panels:
        """Crops by set and picture, in the order of ``scores``, the original last."""
        if self.fresh is not None:
            return self.fresh
        return read_panels(self.folder.path, self.scores)

    @property
    def scale(self) -> int | None:
        """Enlargement; None of a task that enlarges nothing."""
        scale = self.summary.get("scale")
        return scale if isinstance(scale, int) else None

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.summary.get("status") == "finished"


def gather(folders: Sequence[str]) -> list[Member]:
    """Every run in the folders, finished or not.

    Args:
        folders: Run folders, or folders that hold some, such as a sweep's.

    Raises:
        UserError: A folder is not there, or holds no run.
    """
    paths = [path.resolve() for path in run_paths(folders)]
    return [read(path, label) for path, label in zip(paths, short_names(paths), strict=True)]


def jobs_of(folder: Path) -> list[Member]:
    """Every job of a sweep.

    Args:
        folder: The sweep's, with a run folder for each job.

    Raises:
        UserError: It is not there, or holds no job.
    """
    if not folder.is_dir():
        raise UserError(f"runs={folder}: there is no such folder")
    jobs = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    if not jobs:
        raise UserError(f"runs={folder}: no job in it, that is no folder with a {SUMMARY}")
    return [read(path, path.name) for path in jobs]


def read(path: Path, label: str) -> Member:
    """One run."""
    folder = RunFolder(path)
    return Member(label, folder, _summary(folder), network_of(folder), read_scores(path))


def _summary(folder: RunFolder) -> Mapping[str, Any]:
    """What a run says of itself; of one that died without a word, that it did."""
    summary = folder.summary()
    if summary.get("status") == "running" and not folder.in_use():
        return {**summary, "status": "interrupted", "reason": "its process was killed"}
    return summary


def network_of(folder: RunFolder) -> str:
    """Class of a run's network; ``unknown`` where its configuration cannot be read."""
    try:
        model = folder.config().get("model")
    except UserError:
        return UNREAD
    target = model.get("_target_") if isinstance(model, Mapping) else None
    return str(target).rpartition(".")[2] if target else UNREAD


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that differ, of equal depth.

    Example:
        >>> short_names([Path("/out/a/x"), Path("/out/b/x"), Path("/out/b/y")])
        ['a/x', 'b/x', 'b/y']
    """
    deepest = max(len(path.parts) for path in paths)
    for depth in range(1, deepest + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
