"""The option ``channels`` of plain chains: one width, or one for each hidden layer."""

from collections.abc import Sequence

from sr_experiments.errors import UserError

Widths = int | Sequence[int]


def hidden_widths(channels: Widths, count: int, last: int | None = None) -> list[int]:
    """A width for each hidden layer, as pruning leaves them.

    Args:
        channels: One for all, or one for each.
        count: Hidden layers.
        last: Width of one more hidden layer, of which a single number does not speak; None where
            there is none.

    Raises:
        UserError: A list of another length, or a width that is no positive whole number.

    Example:
        >>> hidden_widths(28, 2, last=27)
        [28, 28, 27]
        >>> hidden_widths([20, 9], 2)
        [20, 9]
    """
    if isinstance(channels, int):
        widths = [channels] * count + ([] if last is None else [last])
    else:
        widths = list(channels)
        count += last is not None
        if len(widths) != count:
            raise UserError(
                f"model.channels={widths} has {len(widths)} widths: this network has {count} "
                "hidden layers (see model.num_blocks)."
            )
    if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths):
        raise UserError(f"model.channels={channels} must be whole numbers of at least 1.")
    return widths
