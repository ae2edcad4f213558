"""How networks that enlarge their features split a scale into steps."""

from sr_experiments.errors import UserError


def enlargement_steps(network: str, scale: int) -> list[int]:
    """Factors to enlarge by one after the other: a single 3, or as many 2 as it takes.

    Args:
        network: Its name, for the message.
        scale: Enlargement wanted.

    Raises:
        UserError: If the scale is neither 3 nor a power of two.

    Example:
        >>> enlargement_steps("EDSR", 4)
        [2, 2]
    """
    if scale == 3:
        return [3]
    if scale & (scale - 1) == 0:
        return [2] * (scale.bit_length() - 1)
    raise UserError(f"{network} enlarges by 3 or by a power of two, not by scale={scale}.")
