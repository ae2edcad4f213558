"""Weighted sum of any losses; each term is logged under its own name."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sr_experiments.errors import UserError


class Combined(nn.Module):
    """Weighted sum of losses.

    Args:
        terms: By name, ``weight`` and ``loss`` of each term. A weight of 0 leaves the term out.

    Attributes:
        needs_low_res: Whether a term needs the low-resolution batch.

    Raises:
        UserError: A term is incomplete, a weight is no number from 0, or none is above 0.
    """

    def __init__(self, terms: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        losses: list[nn.Module] = []
        for name, term in terms.items():
            weight = _checked(name, term)
            if weight > 0:
                self.weights[name] = weight
                losses.append(term["loss"])
        if not losses:
            raise UserError(
                "loss.terms: no term has a weight above 0, so there is nothing to train"
            )
        self.losses = nn.ModuleList(losses)
        self.needs_low_res = any(getattr(loss, "needs_low_res", False) for loss in losses)

    def forward(
        self, prediction: Tensor, target: Tensor, low_res: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compare (N, 3, H, W) with the same.

        Args:
            prediction: (N, 3, H, W).
            target: The same shape.
            low_res: (N, 3, H / scale, W / scale), when `needs_low_res`.

        Returns:
            The weighted terms by name. Where a term has named terms of its own, they are
            ``name/own``.
        """
        named: dict[str, Tensor] = {}
        for (name, weight), loss in zip(self.weights.items(), self.losses, strict=True):
            needs = getattr(loss, "needs_low_res", False)
            value = loss(prediction, target, low_res) if needs else loss(prediction, target)
            if isinstance(value, Mapping):
                named |= {f"{name}/{own}": weight * part for own, part in value.items()}
            else:
                named[name] = weight * value
        return named


def _checked(name: str, term: object) -> float:
    if not isinstance(term, Mapping) or term.keys() != {"weight", "loss"}:
        raise UserError(f"loss.terms.{name} must have exactly a weight and a loss")
    weight, loss = term["weight"], term["loss"]
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise UserError(f"loss.terms.{name}.weight={weight} is not a number")
    if not (math.isfinite(weight) and weight >= 0):
        raise UserError(f"loss.terms.{name}.weight={weight} must be a number from 0")
    if not isinstance(loss, nn.Module):
        raise UserError(
            f"loss.terms.{name}.loss={loss!r} is no loss: name its class, for instance "
            f"loss.terms.{name}.loss._target_=sr_experiments.losses.L1"
        )
    return float(weight)
