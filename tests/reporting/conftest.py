"""A headless Chromium, driven through its debugging pipe: no driver and no library needed."""

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
START = """import fcntl, os, sys
ends = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]  # out of the way
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execvp(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 60  # seconds for an answer, on a busy machine


class Browser:
    """One tab. Messages are JSON objects that end in a zero byte, on descriptors 3 and 4."""

    def __init__(self, program: str, profile: Path) -> None:
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        words = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(read), str(write), program, *words],
            pass_fds=(read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._rest = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        opened = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = opened["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": values}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "Chromium has gone"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def open(self, page: Path, width: int = 1000, height: int = 900, dark: bool = False) -> None:
        """Load a page and wait for its pictures; everything it complains of fails the test."""
        self.events.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        address = page.resolve().as_uri()
        self.send("Page.navigate", url=address)
        # At once the page before it may still answer.
        self.wait(
            f"location.href === {json.dumps(address)} && document.readyState === 'complete'"
            "&& [...document.images].every(i=>i.complete)"
        )

    def wait(self, condition: str) -> None:
        """Until a JavaScript condition holds."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        values = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.send("Runtime.evaluate", **values)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height in the window, after scrolling it into view."""
        found = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        return tuple(found)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at a place of the window, move in steps, let go."""
        self._mouse("mousePressed", *start)
        for part in (0.25, 0.5, 0.75, 1.0):
            x, y = (a + part * (b - a) for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", x, y)
        self._mouse("mouseReleased", *end)

    def click(self, selector: str) -> None:
        """Press and let go in the middle of an element."""
        left, top, width, height = self.box(selector)
        middle = (left + width / 2, top + height / 2)
        self.drag(middle, middle)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        values = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", **values)

    def pixels(self, selector: str) -> NDArray[np.uint8]:
        """What is seen of an element; (H, W, 3)."""
        left, top, width, height = self.box(selector)
        x, y = self.run("[window.scrollX, window.scrollY]")
        clip = {"x": left + x, "y": top + y, "width": width, "height": height, "scale": 1}
        shot = self.send("Page.captureScreenshot", clip=clip)
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
            return np.asarray(picture.convert("RGB"))

    def complaints(self) -> list[dict[str, Any]]:
        """Exceptions, errors of the console, and whatever the page's policy refused."""
        self.run("1")
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in kinds]

    def close(self) -> None:
        """End Chromium."""
        self._session = None
        self.send("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._read)
        os.close(self._write)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running browser; skips where none is installed."""
    program = next((path for path in map(shutil.which, NAMES) if path), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    opened = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
