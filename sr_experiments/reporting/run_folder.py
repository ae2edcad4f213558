"""The run folder: a contract between training, resuming, evaluating and reporting.

A folder belongs to one resolved configuration. While a process works in it the folder is
locked; the lock dies with the process, so a killed run can be taken up again at once.
"""

import csv
import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sr_experiments.errors import UserError
from sr_experiments.files import append_line, remove_unfinished, write_atomic, write_json

SCHEMA_VERSION = 1
NOT_PART_OF_THE_EXPERIMENT = ("resume", "fail_fast", "objective", "logger")
PLACES = ("cache_dir", "output_dir")  # wherever they stand: a folder that moved is the same run
EARLIER = "earlier"  # folder below a sweep's, for what its jobs' folders held before
PATIENCE = 0.2  # seconds, against a process that only asks whether a folder is in use


class FolderInUseError(UserError):
    """Another process works in the folder."""


def fingerprint(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that two equal resolved configurations share."""
    kept = {key: value for key, value in config.items() if key not in NOT_PART_OF_THE_EXPERIMENT}
    text = json.dumps(without(kept, PLACES), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without(node: Any, keys: Collection[str]) -> Any:
    """A configuration without some keys, at every depth."""
    if isinstance(node, Mapping):
        return {key: without(value, keys) for key, value in node.items() if key not in keys}
    return [without(item, keys) for item in node] if isinstance(node, list) else node


def as_typed(words: Sequence[str]) -> list[str]:
    """A job's words as they are typed: the sweep first, by the word that names it.

    Example:
        >>> as_typed(["seed=1", "+sweeps=zoo", "model=xlsr"])
        ['sweep=zoo', 'seed=1', 'model=xlsr']
    """
    sweeps = [word for word in words if word.startswith("+sweeps=")]
    rest = [word for word in words if word not in sweeps]
    return [*(word.replace("+sweeps=", "sweep=") for word in sweeps), *rest]


def stage_configs(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configuration of a run, and what each of its stages changes of it."""
    return [config, *(entry.get("resolved", {}) for entry in config.get("stages") or [])]


class RunFolder:
    """One run's folder.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None  # file descriptor

    @classmethod
    def choose(
        cls, parent: Path, config: Mapping[str, Any], *, resume: bool, name: str | None = None
    ) -> "RunFolder":
        """Take up the newest unfinished run of ``config`` below ``parent``, or make a new folder.

        Args:
            parent: ``outputs/<name>``.
            config: Resolved configuration.
            resume: False always makes a new folder.
            name: Fixed folder name, as the jobs of a sweep have; by default the time.

        Returns:
            A locked folder that holds at least ``config.yaml``.

        Raises:
            FolderInUseError: ``name`` is in use by another process.
        """
        if name is not None:
            return cls._fixed(parent / name, config, resume=resume)
        if resume:
            for found in reversed(_in_order(parent)):
                if found.status() not in (None, "finished") and found.matches(config):
                    if found.lock():
                        return found
                    print(f"{found.path} is being trained by another process; starting a new run")
        return cls._new(parent, config)

    @classmethod
    def _fixed(cls, path: Path, config: Mapping[str, Any], *, resume: bool) -> "RunFolder":
        found = cls(path)
        path.mkdir(parents=True, exist_ok=True)
        if not found.lock():
            raise FolderInUseError(f"{path} is in use by another process")
        if (path / "config.yaml").is_file():
            if resume and found.matches(config):
                return found
            aside = found._set_aside()
            reason = "a run of another configuration" if resume else "an earlier run"
            print(f"{path} held {reason}, which is now {aside}")
            return cls._fixed(path, config, resume=True)
        found.write_config(config)
        return found

    def _set_aside(self) -> Path:
        """Move the locked folder to where no later run of its name is in the way, and unlock it."""
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")
        aside = self.path.parent / EARLIER / f"{self.path.name}_{stamp}"
        aside.parent.mkdir(exist_ok=True)
        self.path.rename(aside)
        self.unlock()
        return aside

    @classmethod
    def _new(cls, parent: Path, config: Mapping[str, Any]) -> "RunFolder":
        parent.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        for suffix in ("", *(f"_{count}" for count in range(2, 1000))):
            path = parent / (stamp + suffix)
            try:
                path.mkdir()
            except FileExistsError:
                continue
            made = cls(path)
            made.lock()
            made.write_config(config, number=1 + max(run.number() for run in _in_order(parent)))
            return made
        raise UserError(f"{parent} already holds 999 runs of this second; wait a moment")

    def lock(self) -> bool:
        """Lock the folder for this process; False when another process holds it.

        What a killed process was writing in it is removed.
        """
        descriptor = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(descriptor)
                    return False
                time.sleep(PATIENCE / 10)
            else:
                self._lock = descriptor
                remove_unfinished(self.path)
                return True

    def in_use(self) -> bool:
        """Whether a process holds the folder's lock."""
        try:
            descriptor = os.open(self.path / ".lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def unlock(self) -> None:
        """Let other processes use the folder again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_config(self, config: Mapping[str, Any], number: int | None = None) -> None:
        """Write the resolved configuration and the first, empty summary.

        Args:
            config: Resolved.
            number: Place among the runs of one parent folder, in the order they began; not of a
                sweep's jobs.
        """
        write_atomic(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
        self.write_summary({"status": "running"} | ({} if number is None else {"number": number}))

    def number(self) -> int:
        """Place among the runs of the parent folder; 0 where it is not known."""
        number = self.summary().get("number")
        return number if isinstance(number, int) else 0

    def config(self) -> dict[str, Any]:
        """The resolved configuration.

        Raises:
            UserError: The folder holds no readable ``config.yaml``, or is of a newer version.
        """
        file = self.path / "config.yaml"
        version = self.summary().get("schema_version", SCHEMA_VERSION)
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise UserError(
                f"{self.path} is of a newer sr_experiments: its schema_version is {version}, this "
                f"one reads up to {SCHEMA_VERSION}; update the package"
            )
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error
        if not isinstance(loaded, dict):
            raise UserError(f"{file} is not a run's configuration")
        return loaded

    def matches(self, config: Mapping[str, Any]) -> bool:
        """Whether the folder's configuration equals ``config``."""
        try:
            return fingerprint(self.config()) == fingerprint(config)
        except (UserError, TypeError, ValueError, RecursionError):
            return False  # edited by hand into something that no run writes

    def status(self) -> str | None:
        """``running``, ``finished``, ``failed``, ``interrupted``, or None when it is no run."""
        return self.summary().get("status")

    def summary(self) -> dict[str, Any]:
        """Content of ``summary.json``; empty when there is none."""
        try:
            loaded = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def write_summary(self, values: Mapping[str, Any]) -> None:
        """Replace the named values of ``summary.json``."""
        merged = {"schema_version": SCHEMA_VERSION, **self.summary(), **values}
        write_json(self.path / "summary.json", merged)

    @property
    def last_checkpoint(self) -> Path:
        """Where training goes on from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The network with the best validation PSNR."""
        return self.path / "checkpoints" / "best.ckpt"

    def stage_file(self, number: int, name: str) -> Path:
        """What a finished stage leaves to the next; it is there only once the stage is over."""
        return self.path / "stages" / f"{number}-{name}.safetensors"

    def stages(self) -> list[dict[str, Any]]:
        """What ``summary.json`` says of the stages that are over, in their order."""
        listed = self.summary().get("stages")
        return listed if isinstance(listed, list) else []

    def write_stage(self, number: int, values: Mapping[str, Any]) -> None:
        """Put stage ``number``, counted from 1, on the list of those that are over."""
        self.write_summary({"stages": [*self.stages()[: number - 1], dict(values)]})

    def metrics(self) -> list[dict[str, str]]:
        """Rows of ``metrics.csv``, oldest first; a row cut off by a crash is left out."""
        file = self.path / "metrics.csv"
        if not file.is_file():
            return []
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(io.StringIO(whole)))

    def append_metrics(self, row: Mapping[str, object]) -> None:
        """Add a row to ``metrics.csv``; new columns rewrite the file."""
        file = self.path / "metrics.csv"
        cells = {key: _cell(value) for key, value in row.items()}
        header = list(self._header())
        if header and set(cells) <= set(header):
            line = _csv([cells], header, with_header=False)
            append_line(file, line)
            return
        rows = [*self.metrics(), cells]
        columns = header + [key for key in cells if key not in header]
        write_atomic(file, _csv(rows, columns, with_header=True))

    def complete_metrics(self, late: Mapping[int, Mapping[str, object]]) -> list[dict[str, str]]:
        """Add values to rows that are there.

        Args:
            late: Values by epoch.

        Returns:
            The rows that gained some.
        """
        rows = self.metrics()
        gained = [row for row in rows if int(row["epoch"]) in late]
        for row in gained:
            row.update({key: _cell(value) for key, value in late[int(row["epoch"])].items()})
        if gained:
            columns = list(dict.fromkeys(key for row in rows for key in row))
            for row in rows:
                row.update({key: row.get(key, "") for key in columns})
            write_atomic(self.path / "metrics.csv", _csv(rows, columns, with_header=True))
        return gained

    def drop_metrics_after(self, epoch: int) -> None:
        """Forget rows later than ``epoch``: training is going to make them again."""
        rows = self.metrics()
        kept = [row for row in rows if int(row["epoch"]) <= epoch]
        if rows:
            columns = list(rows[0])
            write_atomic(self.path / "metrics.csv", _csv(kept, columns, with_header=True))

    def _header(self) -> list[str]:
        file = self.path / "metrics.csv"
        if not file.is_file():
            return []
        with file.open(encoding="utf-8", newline="") as lines:
            return next(csv.reader(lines), [])


def _in_order(parent: Path) -> list[RunFolder]:
    """What lies in a folder, the newest run last.

    By number, for a clock may be set back between two runs; only those of earlier versions, which
    have none, go by the times that they are called by.
    """
    paths = parent.iterdir() if parent.is_dir() else ()
    return sorted((RunFolder(path) for path in paths), key=lambda run: (run.number(), run.path))


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(rows: list[dict[str, str]], columns: list[str], *, with_header: bool) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
