"""The one exception that is shown to a user without a traceback."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class UserError(ValueError):
    """Something the user can mend: the message names the file or key and what to do."""


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
