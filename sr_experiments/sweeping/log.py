"""``jobs.jsonl`` in a sweep's folder: a line for every job that a start begins, passes or ends.

Summaries say how a job stands, this says who did what: each start of a sweep has a name of its
own, so one can tell what it found finished, and processes that share the jobs of one start, on one
machine or many, learn from each other's lines.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sr_experiments.files import append_line

FILE = "jobs.jsonl"
STARTED, FINISHED, FAILED = "started", "finished", "failed"
SKIPPED, PASSED, LEFT = "finished before", "in use", "left out"
INTERRUPTED = "interrupted"
ENDS = (FINISHED, FAILED, SKIPPED, PASSED, LEFT, INTERRUPTED)


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        start: Name of the start of the sweep.
        job: Folder name of the job.
        event: One of this module's.
        reason: Why it failed.
        time: Local, ISO 8601.
    """

    start: str
    job: str
    event: str
    reason: str | None = None
    time: str = ""


class JobLog:
    """The log of a sweep's folder.

    Args:
        folder: The sweep's.
        start: Name of this start of it.
    """

    def __init__(self, folder: Path, start: str) -> None:
        self.path = folder / FILE
        self.start = start

    def write(self, job: str, event: str, reason: str | None = None) -> None:
        """Add a line; processes may share the file."""
        now = datetime.now().isoformat(timespec="seconds")
        line = json.dumps(asdict(Entry(self.start, job, event, reason, now))) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, line)

    def entries(self) -> Iterator[Entry]:
        """The lines of this start, oldest first."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError):  # cut off by a full disk
                continue
            if entry.start == self.start:
                yield entry

    def ends(self) -> dict[str, Entry]:
        """How each job of this start ended, by its name."""
        return {entry.job: entry for entry in self.entries() if entry.event in ENDS}
