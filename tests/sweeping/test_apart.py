"""A function in a process of its own: its answer, its errors, its death and its caller's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sr_experiments.configuration.compose import check
from sr_experiments.errors import UserError
from sr_experiments.sweeping import apart
from sr_experiments.sweeping.apart import DiedError, FailedError, call_apart


@pytest.fixture(autouse=True)
def _nothing_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "PRELOADED", ("json",))  # torch would take seconds


def test_each_call_has_a_process_of_its_own_and_this_ones_folder_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = {call_apart(os.getpid), call_apart(os.getpid), os.getpid()}
    assert len(pids) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert call_apart(os.getcwd) == str(tmp_path)
    assert call_apart(os.getenv, "CUDA_VISIBLE_DEVICES") == "5"


def test_errors_come_back_as_what_they_are() -> None:
    with pytest.raises(UserError, match="did you mean model"):
        call_apart(check, ["modle=xlsr"])
    with pytest.raises(FailedError, match=r"^JSONDecodeError: Expecting value"):
        call_apart(json.loads, "[")


def test_a_death_is_told_by_its_cause_and_harms_nobody_else() -> None:
    with pytest.raises(DiedError, match=r"SIGKILL, as the kernel does when memory runs out"):
        call_apart(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(DiedError, match=r"SIGABRT$"):
        call_apart(os.abort)
    with pytest.raises(DiedError, match="exit code 3"):
        call_apart(os._exit, 3)
    with pytest.raises(DiedError, match="interrupted"):  # a sweep goes on after such a job
        call_apart(exec, "raise SystemExit(1)")  # W&B puts its own in place of sys.exit
    assert call_apart(len, "abc") == 3


PATIENCE = 300  # seconds, on a busy machine
SLEEPER = """
import os, time
from pathlib import Path
from sr_experiments.signals import stopped_by_signals
listening = stopped_by_signals()
listening.__enter__()
try:
    Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
finally:
    Path("ended").touch()
"""
CALLER = """
import runpy
import signal
from pathlib import Path
from sr_experiments.sweeping import apart
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
apart.PRELOADED = ("json",)
wait = apart.connection.wait
def told(*ends):
    Path("waiting").touch()
    return wait(*ends)
apart.connection.wait = told
apart.call_apart(runpy.run_path, "sleeper.py")
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, -signal.SIGINT),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGUSR1, 128 + signal.SIGUSR1),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_a_process_ends_with_its_caller(number: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    pid, waiting = tmp_path / "pid", tmp_path / "waiting"
    until = time.monotonic() + PATIENCE
    while not waiting.exists() or not pid.is_file() or not pid.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    caller.send_signal(number)
    assert caller.wait(PATIENCE) == code
    while _alive(int(pid.read_text())):
        assert time.monotonic() < until
        time.sleep(0.05)
    # A word to end lets it end in its own time.
    assert (tmp_path / "ended").exists() == (number is not signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # it has just gone, or this is no Linux
    return state.rpartition(")")[2].split()[0] != "Z"


def test_a_worker_of_joblibs_can_call_apart_too(tmp_path: Path) -> None:
    (tmp_path / "called.py").write_text(
        "import os\nfrom joblib import Parallel, delayed\n"
        "from sr_experiments.sweeping import apart\n"
        "def called():\n    apart.PRELOADED = ('json',)\n    return apart.call_apart(os.getpid)\n"
        "if __name__ == '__main__':\n"
        "    print(len({*Parallel(n_jobs=2)(delayed(called)() for _ in range(2)), os.getpid()}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "called"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert ended.stdout == "3\n", ended.stderr


def test_the_kernel_is_offered_the_job_rather_than_the_sweep() -> None:
    file = Path("/proc/self/oom_score_adj")
    if not file.is_file():
        pytest.skip("only Linux chooses a process to kill when memory runs out")
    badness = call_apart(Path.read_text, Path("/proc/self/oom_score_adj"))
    assert int(badness) > int(file.read_text())
