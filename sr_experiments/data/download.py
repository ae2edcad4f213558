"""Download an archive, going on where a broken connection stopped, and verify it.

Pooch checks the sum and moves the file into place; the downloader handed to it keeps what
has arrived in ``<name>.part`` and asks the server for the rest (HTTP Range, RFC 9110).
"""

import re
import shutil
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pooch
import requests

from sr_experiments.data.sources import Archive
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic

__all__ = ["ResumingDownloader", "fetch"]

CHUNK = 1 << 16  # bytes per write, and lost at most when the connection breaks
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two packets

Progress = Callable[[int, int | None], None]  # bytes here, bytes in all when the server says so


class ResumingDownloader:
    """A pooch downloader that resumes, within a call and after a killed process.

    Args:
        part: Keeps what has arrived; beside it ``<part>.version`` keeps the server's tag of
            the file, so that halves of two versions are never joined.
        progress: Called after every chunk.
        attempts: Connections without a new byte before giving up.
        wait: Seconds before the second of them, doubled for each further one.
    """

    def __init__(
        self,
        part: Path,
        progress: Progress | None = None,
        attempts: int = 5,
        wait: float = 1.0,
    ) -> None:
        self.part = part
        self.progress = progress
        self.attempts = attempts
        self.wait = wait

    @property
    def _version(self) -> Path:
        return self.part.with_name(self.part.name + ".version")

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download ``url`` to ``output_file``, as pooch asks.

        Raises:
            UserError: The server refuses, the disk is full, or the connection keeps breaking.
        """
        self.part.parent.mkdir(parents=True, exist_ok=True)
        fruitless = 0
        while True:
            before = self._here()
            try:
                problem = self._request(url)
            except requests.Timeout:
                problem = "the server does not answer"
            except requests.RequestException as error:
                problem = "the connection broke off"
                if self._here() == 0:
                    problem = f"cannot be reached ({type(error).__name__}); is there a network?"
            except OSError as error:
                raise UserError(
                    f"{self.part} cannot be written ({error}); name another folder with "
                    "paths.cache_dir=... (or SR_CACHE_DIR)"
                ) from error
            if problem is None:
                break
            fruitless = 0 if self._here() > before else fruitless + 1
            if fruitless == self.attempts:
                raise UserError(
                    f"{url}: {problem}\n  {self._here()} bytes are here, and the same command "
                    f"goes on from there; or put the file here by hand: {self.part.with_suffix('')}"
                )
            if fruitless:
                time.sleep(self.wait * 2 ** (fruitless - 1))
        self._version.unlink(missing_ok=True)
        shutil.move(self.part, output_file)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _request(self, url: str) -> str | None:
        """Fetch what is missing; None when the file is complete, else what went wrong."""
        here = self._here()
        # Compressed transfer would make the byte positions mean something else.
        headers = {"Accept-Encoding": "identity"}
        if here:
            headers["Range"] = f"bytes={here}-"
            if self._version.is_file():
                headers["If-Range"] = self._version.read_text(encoding="utf-8")
        with requests.get(url, stream=True, headers=headers, timeout=TIMEOUT) as response:
            status = response.status_code
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                if _content_range(response, r"bytes \*/(\d+)") == here:
                    return None
                self.part.unlink()
                return "the file on the server has another length than before"
            if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
                return f"the server answers {status}"
            if not response.ok:
                raise UserError(
                    f"{url}: the server answers {status}; get the file elsewhere and put it here: "
                    f"{self.part.with_suffix('')}"
                )
            if status != HTTPStatus.PARTIAL_CONTENT:
                here = 0  # it knows no ranges, or has another version by now
            elif _content_range(response, r"bytes (\d+)-") != here:
                self.part.unlink()
                return "the server sends another part than was asked for"
            self._remember_version(response)
            return self._receive(response, here)

    def _remember_version(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        if version:
            write_atomic(self._version, version)
        else:
            self._version.unlink(missing_ok=True)

    def _receive(self, response: requests.Response, here: int) -> str | None:
        length = response.headers.get("Content-Length")
        total = here + int(length) if length is not None else None
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - here > free:
            raise UserError(
                f"{self.part.parent} has {free / 1e9:.1f} GB left, the download needs "
                f"{(total - here) / 1e9:.1f} GB; name another folder with paths.cache_dir=..."
            )
        with self.part.open("ab" if here else "wb") as out:
            for chunk in response.iter_content(CHUNK):
                out.write(chunk)
                here += len(chunk)
                if self.progress is not None:
                    self.progress(here, total)
        return None if total in (None, here) else "the connection broke off"


def _content_range(response: requests.Response, pattern: str) -> int | None:
    match = re.match(pattern, response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def fetch(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """Download an archive unless it is here already, and verify its checksum if one is published.

    Args:
        archive: What to download.
        folder: Where it is kept.
        progress: Called with the bytes here and in all.

    Returns:
        The archive file.

    Raises:
        UserError: The download fails, or is not the file that it should be.
    """
    name = archive.url.rsplit("/", 1)[-1]
    downloader = ResumingDownloader(folder / f"{name}.part", progress)
    pooch.get_logger().setLevel("WARNING")  # its lines would break the progress bar
    try:
        retrieved = pooch.retrieve(
            archive.url, archive.checksum, name, folder, downloader=downloader
        )
    except UserError:
        raise
    except ValueError as error:
        raise UserError(
            f"{archive.url} is not what it should be: {error}; try again later"
        ) from error
    return Path(retrieved)
