"""The one exception that is shown to a user without a traceback, and what becomes one."""

import errno
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class UserError(ValueError):
    """Something the user can mend: the message names the file or key and what to do."""


REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "make it writable, or name another folder",
    errno.EACCES: "make it accessible, or name another folder",
    errno.EPERM: "make it writable, or name another folder",
    errno.EMFILE: "raise the limit with ulimit -n",
}
# The first is torch's on a CPU, the second LiteRT's.
NO_MEMORY = ("can't allocate memory", "std::bad_alloc", "out of memory")


def of_the_machine(error: BaseException, where: object) -> UserError | None:
    """The user's words for an error that the machine's limits caused; None for any other.

    Args:
        error: Whatever was raised.
        where: The file or folder to blame where the error names none.
    """
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno in REMEDIES:
        reason = f"{error.filename or where}: {error.strerror}"
        return UserError(f"{reason}; {REMEDIES[error.errno]}")
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        reason = (text or type(error).__name__).splitlines()[0]
        return UserError(f"out of memory ({reason})")
    return None


def blaming(key: str, action: Callable[[], Result]) -> Result:
    """Run ``action``, which a value of the user decides.

    Raises:
        UserError: Whatever it raised, with the configuration's key or group in front; a
            ``UserError`` as it is, also when a framework has wrapped it.
    """
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"{key}: {cause}") from error
