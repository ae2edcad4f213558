"""Call a function in a process of its own, which may die without taking its caller with it.

A job that runs out of memory is killed by the kernel, and a crash in a native library cannot be
caught. So a sweep runs each job in a process that a server process forks: the server has imported
torch and Lightning once and has done nothing else, so a job begins within a fraction of a second,
as fresh as a new interpreter (``benchmarks/sweep.py`` measures it). It also leaves no memory, mode
or random state to the next job.

A process ends with its caller, whatever ends that one, so nothing goes on training unseen in a
folder that the next start would find in use.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from sr_experiments.errors import UserError
from sr_experiments.signals import StoppedError, stopped_by_signals

PRELOADED = ("sr_experiments.train",)
VICTIM = 500  # of 1000: what the kernel adds to a job's badness when memory runs out

WHY = {
    "SIGKILL": ", as the kernel does when memory runs out",
    "SIGBUS": ", as when a file of paths.cache_dir is cut short while it is read",
}

Result = TypeVar("Result")
Answer = tuple[str, object]  # how a call ended, and its value, exception or words


class DiedError(Exception):
    """The process ended without an answer; the message says how."""


class FailedError(Exception):
    """The function raised what is no user's mistake; the process has printed its traceback."""


def call_apart(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call ``function`` in a new process and wait for it.

    The process has this one's environment variables and folder. A signal to end is passed on, for
    the function to end in its own time; a second Ctrl-C kills it.

    Args:
        function: Importable by name.
        arguments: Picklable, as is what it returns.

    Raises:
        UserError: As the function raised it, subclasses included.
        FailedError: It raised another exception.
        DiedError: The process was killed or interrupted, or ended itself.
        KeyboardInterrupt: Ctrl-C, here and therefore there.
        StoppedError: Another signal, likewise.
    """
    context = multiprocessing.get_context("forkserver")
    _start_server()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(sending, dict(os.environ), str(Path.cwd()), function, arguments)
    )
    process.start()
    sending.close()
    told: KeyboardInterrupt | StoppedError | None = None
    with stopped_by_signals(polite=True):
        while True:
            try:
                connection.wait([receiving, process.sentinel])
                break
            except (KeyboardInterrupt, StoppedError) as error:
                number = error.number if isinstance(error, StoppedError) else signal.SIGINT
                again = told is not None and number == signal.SIGINT
                assert process.pid is not None
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL if again else number)
                told = told or error
    try:
        kind, value = receiving.recv()
    except EOFError:
        kind, value = "died", None
    finally:
        receiving.close()
        process.join()
    if told is not None:
        raise told
    if kind == "died":
        value = _how(process.exitcode)
    result: Result = unwrapped((kind, value))
    return result


def attempt(function: Callable[..., object], *arguments: Any) -> Answer:
    """Call a function; how it ended, with what it gave or failed with, for `unwrapped`."""
    try:
        return "value", function(*arguments)
    except UserError as error:
        return "refused", error
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}".rstrip(": ")
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        return "interrupted", None


def unwrapped(answer: Answer) -> Any:
    """What a function gave that was called elsewhere.

    Raises:
        UserError: As `call_apart`; also `FailedError` and `DiedError`.
    """
    kind, value = answer
    if kind == "interrupted":
        raise DiedError("its process was interrupted, and not by Ctrl-C here")
    if kind == "died":
        raise DiedError(value)
    if kind == "refused":
        assert isinstance(value, UserError)
        raise value
    if kind == "failed":
        raise FailedError(value)
    return value


def _start_server() -> None:
    """Start the server, once per process, deaf to a Ctrl-C that comes while it imports."""
    known = (None, *multiprocessing.get_all_start_methods())
    if multiprocessing.get_start_method(allow_none=True) not in known:
        # A worker of joblib's has a default of its own, which the server would be told of.
        multiprocessing.set_start_method("forkserver", force=True)
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _answer(
    sending: Connection,
    environment: dict[str, str],
    folder: str,
    function: Callable[..., object],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, _interrupt_once)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    with suppress(OSError):  # rather this process than the sweep; Linux only
        Path("/proc/self/oom_score_adj").write_text(str(VICTIM), encoding="ascii")
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    answer = attempt(function, *arguments)
    sys.stdout.flush()
    sending.send(answer)


def _interrupt_once(number: int, frame: object) -> None:
    """Ctrl-C in a terminal comes twice: from the terminal, and passed on by the caller."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _how(code: int | None) -> str:
    """An exit code in words."""
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}{WHY.get(name, '')}"
