"""Where runs are, below the folders that a user names."""

from collections.abc import Sequence
from pathlib import Path

from sr_experiments.errors import UserError
from sr_experiments.reporting.run_folder import EARLIER

__all__ = ["SUMMARY", "run_paths"]

SUMMARY = "summary.json"


def run_paths(folders: Sequence[str]) -> list[Path]:
    """Every run in the folders, finished or not, in the order of the folders and of their names.

    What a sweep set aside when it ran a job anew is left out.

    Args:
        folders: Run folders, or folders that hold some, such as a sweep's.

    Returns:
        Each once.

    Raises:
        UserError: A folder is not there, or holds no run.
    """
    paths: list[Path] = []
    for name in folders:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise UserError(f"runs={name}: there is no such folder")
        found = sorted(
            path.parent
            for path in folder.rglob(SUMMARY)
            if EARLIER not in path.relative_to(folder).parts
        )
        if not found:
            raise UserError(f"runs={name}: no run in it, that is no {SUMMARY}")
        paths += found
    return list({path.resolve(): path for path in paths}.values())
