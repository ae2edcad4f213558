"""A connected Android phone that times TFLite files with LiteRT's ``benchmark_model``.

Everything goes through the program ``adb`` of Android's SDK. The tool is pushed once and stays on
the phone; files are removed again.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sr_experiments.deploy.benchmark_tool import ToolResult, arguments, complaint, read
from sr_experiments.errors import UserError

FOLDER = "/data/local/tmp"  # where Android lets a connected computer write and run programs
TOOL = "benchmark_model"
GRAPH = "sr_experiments.tflite"
PAGE = "https://ai.google.dev/edge/litert/models/measurement"
BINARIES = {
    "arm64-v8a": "android_aarch64_benchmark_model",
    "armeabi-v7a": "android_arm_benchmark_model",
}
SECONDS = 900  # the tool ends its runs by itself after 150
# How adb calls the states of a phone that it cannot use, and what helps.
STATES = {
    "unauthorized": "allow USB debugging in the question on its screen",
    "offline": "plug it in again, or: adb reconnect",
    "no permissions": "see the hint of: adb devices",
}
PROPERTIES = {
    "maker": "ro.product.manufacturer",
    "model": "ro.product.model",
    "chip": "ro.soc.model",
    "platform": "ro.board.platform",
    "android": "ro.build.version.release",
    "abi": "ro.product.cpu.abi",
}


@dataclass(frozen=True)
class PhoneInfo:
    """What a phone says of itself; empty where it says nothing.

    Attributes:
        serial: Its name for adb.
        maker: Company.
        model: Name of the product.
        chip: The system on a chip; Android 12 or later.
        platform: The chip's family, on older ones too.
        android: Version.
        abi: Kind of programs that it runs.
    """

    serial: str
    maker: str
    model: str
    chip: str
    platform: str
    android: str
    abi: str

    def __str__(self) -> str:
        name = " ".join(part for part in (self.maker, self.model) if part) or self.serial
        chip = self.chip or self.platform or "unknown chip"
        return f"{name} ({chip}, Android {self.android or 'unknown'})"

    def as_json(self) -> dict[str, str]:
        """Everything, for a file."""
        return asdict(self)


class Phone:
    """One connected phone.

    Args:
        serial: Its name in ``adb devices``; None: the only one there.

    Raises:
        UserError: There is no adb, no such phone, or several to choose from.
    """

    def __init__(self, serial: str | None = None) -> None:
        if shutil.which("adb") is None:
            raise UserError(
                "device=adb: the program adb is not here; it is in Android's SDK Platform-Tools "
                "(Debian and Ubuntu: apt-get install adb)"
            )
        self.serial = _choose(_run(["devices"]).stdout, serial)
        script = "; ".join(f"getprop {name}" for name in PROPERTIES.values())
        # A phone without a property prints an empty line.
        lines = [line.strip() for line in self.shell(script).stdout.splitlines()]
        values = [*lines, *[""] * len(PROPERTIES)]
        self.info = PhoneInfo(self.serial, **dict(zip(PROPERTIES, values, strict=False)))

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command line on the phone; whether it failed is in the result."""
        return _run(["-s", self.serial, "shell", command])

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the phone.

        Raises:
            UserError: The phone does not take it.
        """
        result = _run(["-s", self.serial, "push", str(source), target])
        if result.returncode:
            raise UserError(f"adb push {source} {target}: {_said(result)}")

    def install_tool(self, path: Path | None) -> str:
        """Put LiteRT's tool in place, and say where.

        Args:
            path: The program for the phone, here; None: it has been put there before.

        Raises:
            UserError: There is no such file, or none on the phone; the message says where to get
                one.
        """
        tool = f"{FOLDER}/{TOOL}"
        if path is None:
            if self.shell(f"test -f {tool}").returncode:
                raise UserError(
                    f"{self.info} has no {tool}: get {BINARIES.get(self.info.abi, TOOL)}, for "
                    f"{self.info.abi or 'its processor'}, from the section on native binaries of "
                    f"{PAGE} and add benchmark_model=<path of it>"
                )
        elif not path.is_file():
            raise UserError(f"benchmark_model={path}: there is no such file; see {PAGE}")
        else:
            self.push(path, tool)
        if self.shell(f"chmod 755 {tool}").returncode:
            raise UserError(f"{self.info}: {tool} cannot be made executable")
        return tool

    def time(
        self,
        content: bytes,
        tool: str,
        *,
        threads: int,
        runs: int,
        warmup: int,
        delegate: str,
        layers: bool,
        size: tuple[int, int] | None,
    ) -> ToolResult:
        """Time a TFLite file on the phone.

        Args:
            content: Of the file.
            tool: Of `install_tool`.
            threads: Of the phone's CPU.
            runs: Runs that count.
            warmup: Runs before them.
            delegate: What runs it: xnnpack, none (LiteRT's own kernels), gpu or nnapi.
            layers: Profile every operator.
            size: Height and width of the input; None where the file fixes them.

        Raises:
            UserError: The tool failed; the message has what it said.
        """
        graph = f"{FOLDER}/{GRAPH}"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / GRAPH
            file.write_bytes(content)
            self.push(file, graph)
        words = arguments(
            graph,
            threads=threads,
            runs=runs,
            warmup=warmup,
            delegate=delegate,
            layers=layers,
            size=size,
        )
        try:
            result = self.shell(" ".join([tool, *words]))
        finally:
            self.shell(f"rm -f {graph}")
        printed = result.stdout + result.stderr
        found = read(printed)
        if result.returncode or found is None:
            lines = [line.strip() for line in printed.splitlines() if line.strip()]
            raise UserError(f"{tool} failed on {self.info}:\n  {complaint(lines)}")
        return found


def _choose(listing: str, serial: str | None) -> str:
    """One of the phones that ``adb devices`` lists, in the state to be used."""
    rows = [line.split("\t", 1) for line in listing.splitlines() if "\t" in line]
    states = {name.strip(): state.strip() for name, state in rows}
    if not states:
        raise UserError(
            "device=adb: no phone is connected; plug one in by USB, allow USB debugging in its "
            "developer options, and look for it with: adb devices"
        )
    known = ", ".join(states)
    if serial is None and len(states) > 1:
        raise UserError(f"device=adb: several phones are connected: device=adb:<one of {known}>")
    chosen = serial or next(iter(states))
    if chosen not in states:
        raise UserError(f"device=adb:{chosen}: no such phone is connected; here: {known}")
    state = states[chosen]
    if state != "device":
        hint = next((text for key, text in STATES.items() if state.startswith(key)), "adb devices")
        raise UserError(f"the phone {chosen} is {state}: {hint}")
    return chosen


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["adb", *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"adb {words[0]} did not answer for {SECONDS} seconds") from error


def _said(result: subprocess.CompletedProcess[str]) -> str:
    return (result.stderr or result.stdout).strip() or f"it exited with {result.returncode}"
