"""The one exception that is shown to a user without a traceback."""


class UserError(ValueError):
    """Something the user can mend: the message names the file or key and what to do."""
