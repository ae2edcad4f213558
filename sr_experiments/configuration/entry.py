"""How a command begins and ends: mistakes in one piece, exit codes, output that nobody reads.

It imports next to nothing, for help is printed through it.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sr_experiments.errors import UserError, of_the_machine


def run_verb(main: Callable[[], object]) -> None:
    """Run ``main``; a user's mistake is printed in one piece and exits with 2.

    Where the output goes to a program that stops reading, as ``head`` does, it exits as one that
    SIGPIPE ends.
    """
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _drop_unread_output():
            raise
        raise SystemExit(128 + signal.SIGPIPE) from None
    except UserError as error:
        _refuse(error)
    except (OSError, MemoryError) as error:
        told = of_the_machine(error, Path.cwd())
        if told is None:
            raise
        _refuse(told)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _drop_unread_output() -> bool:
    """Send what nobody reads to nowhere, where it fails no more; False if all is read."""
    unread = False
    for stream in (sys.stdout, sys.stderr):
        ask = select.poll()
        ask.register(stream, 0)
        if ask.poll(0):  # of what was not asked for the system tells errors alone
            unread = True
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
    return unread


def _refuse(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None
