"""Words around numbers, as pages and the terminal have them."""


def counted(number: int, what: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, "core"), counted(2, "core")
        ('1 core', '2 cores')
    """
    return f"{number} {what}{'s' if number != 1 else ''}"
