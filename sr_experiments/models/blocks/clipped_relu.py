"""ReLU with an upper bound: what keeps a quantised range short (XLSR paper, 3.2)."""

from typing import Literal

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError


class ClippedReLU(nn.Module):
    """``max(0, min(x, bound))``; at a network's output it is free in INT8.

    A learned bound gets PACT's gradient (Choi et al., 2018, arXiv:1805.06085, which PAMS takes
    over): every value that was cut pushes the bound, and none that was not.

    Args:
        bound: Upper end, in the units of the input; with ``learned`` the value to start from.
        learned: Make the bound a parameter.

    Shape:
        Any; the output has the input's shape.
    """

    def __init__(self, bound: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        if not bound > 0:
            raise UserError(f"A clipped ReLU needs a bound above 0, not {bound}.")
        self.bound: float | nn.Parameter = (
            nn.Parameter(torch.tensor(float(bound))) if learned else float(bound)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Clip to [0, bound]."""
        if isinstance(self.bound, float):
            return x.clamp(0.0, self.bound)
        return torch.minimum(x.relu(), self.bound)

    def extra_repr(self) -> str:
        """Show the bound when the module is printed."""
        return f"bound={float(self.bound):g}, learned={not isinstance(self.bound, float)}"


def hidden_activation(clip_hidden: float | Literal["learned"] | None) -> nn.Module:
    """Activation of a hidden layer as the option ``clip_hidden`` asks for.

    Args:
        clip_hidden: None for a plain ReLU, a number for a fixed upper bound, ``"learned"`` for
            one that training moves (from 1).
    """
    if clip_hidden is None:
        return nn.ReLU()
    if clip_hidden == "learned":
        return ClippedReLU(learned=True)
    if isinstance(clip_hidden, (str, bool)):
        raise UserError(
            f"clip_hidden={clip_hidden} is not known: use null, a number above 0 or 'learned'."
        )
    return ClippedReLU(clip_hidden)
