"""Sweeps that sample (hydra-optuna-sweeper): where their study is kept, and how one is taken up.

A sampler draws the same trials from the same seed and the same answers, and a job that is
finished answers at once from its folder. So a search that was cut short is taken up by drawing it
again: what is finished is not repeated, a trial that was cut short goes on from its checkpoint,
and the trials that were missing are those that an undisturbed search would have drawn. For this a
sampler without a seed gets the run's, and the study, which optuna keeps in SQLite beside the jobs,
is written anew. A ``hydra.sweeper.storage`` of the user's own is left as it is, for instance one
that several machines share.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from sr_experiments.errors import UserError

__all__ = ["STUDY", "samples", "study_words"]

STUDY = "study.db"


def samples(config: DictConfig) -> bool:
    """Whether the jobs of a sweep are drawn by a sampler.

    Args:
        config: With its ``hydra`` node.
    """
    return not str(config.hydra.sweeper._target_).endswith("BasicSweeper")


@contextmanager
def study_words(config: DictConfig, folder: Path) -> Iterator[list[str]]:
    """Overrides that a sweep gains, none where it draws nothing; held while it runs.

    Args:
        config: Of the sweep, with its ``hydra`` node.
        folder: Of the sweep's jobs.

    Raises:
        UserError: Another process is at the same study, or the folder cannot be written.
    """
    sweeper = config.hydra.sweeper
    if not samples(config) or "storage" not in sweeper:
        yield []
        return
    words = [f"hydra.sweep.dir={_quoted(str(folder))}"]  # the sampler writes its result there
    if "seed" in sweeper.sampler and sweeper.sampler.seed is None:
        words.append(f"hydra.sweeper.sampler.seed={config.seed}")
    if sweeper.storage is not None:
        yield words
        return
    path = folder.absolute() / STUDY
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{path} is being written by another process: wait for it, or add run_name=<another>"
        ) from error
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); name another folder with "
            "paths.output_dir=..."
        ) from error
    try:
        for file in _files(path):
            file.unlink(missing_ok=True)
        words.append(f"hydra.sweeper.storage={_quoted(f'sqlite:///{path}')}")
        if sweeper.study_name is None:
            words.append(f"hydra.sweeper.study_name={_quoted(folder.name)}")
        yield words
    finally:
        lock.release()


def _files(path: Path) -> Sequence[Path]:
    """The study and what SQLite leaves beside it when its process is killed."""
    return [path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))]


def _quoted(text: str) -> str:
    """Text as Hydra reads it, whatever characters it holds."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"
