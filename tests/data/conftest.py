"""A real photo, and a web server on this machine that breaks connections off."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import chelsea

from sr_experiments.data import find_images, packed


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A colour photo of 451x300 pixels."""
    return Image.fromarray(chelsea())


@pytest.fixture(scope="session")
def packed_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the photos of ``data=photos`` are packed for x3."""
    cache = tmp_path_factory.mktemp("cache")
    for split in ("train", "val", "test"):
        packed(find_images(f"photos:{split}", None, cache), 3, cache)
    return cache


class BreakingServer(ThreadingHTTPServer):
    """Serves ``content`` at every path.

    Attributes:
        content: What is served.
        breaks: For each coming request, after how many bytes it is broken off; then none is.
        ranges: Whether it knows Range.
        tag: Its ETag; None sends none.
        status: Answered in place of content when it is not 200.
        requests: Range header of each request so far.
    """

    content = b""
    tag: str | None = '"first"'
    ranges = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(BaseHTTPRequestHandler):
    server: BreakingServer

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        start, size = 0, len(server.content)
        fresh = self.headers.get("If-Range") in (None, server.tag)
        if wanted and server.ranges and fresh:
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match is not None
            start = int(match[1])
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        if server.tag is not None:
            self.send_header("ETag", server.tag)
        self.end_headers()
        sent = server.breaks.pop(0) if server.breaks else len(body)
        self.wfile.write(body[:sent])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[BreakingServer]:
    with BreakingServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
