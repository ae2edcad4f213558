"""A generator's loss: what its pictures should look like, and that they should pass for real.

The terms on pictures are those of ``Combined``, named and weighted; the adversarial one needs a
discriminator, which ``task=gan`` has. The published forms are ``loss=srgan``, ``loss=esrgan``,
``loss=swift_srgan_paper`` and ``loss=swift_srgan_code``.
"""

import math
from collections.abc import Mapping
from typing import Any

from sr_experiments.errors import UserError
from sr_experiments.losses.adversarial import Adversarial
from sr_experiments.losses.combined import Combined


class GeneratorLoss(Combined):
    """Weighted terms on pictures, and the weight and kind of the adversarial one.

    Args:
        terms: See `Combined`.
        adversarial: ``weight`` and ``loss``, an `Adversarial`. A weight of 0 trains the generator
            on the other terms alone, while its discriminator learns.

    Raises:
        UserError: As `Combined`, or the adversarial term is incomplete.
    """

    def __init__(
        self, terms: Mapping[str, Mapping[str, Any]], adversarial: Mapping[str, Any]
    ) -> None:
        super().__init__(terms)
        weight, loss = adversarial.get("weight"), adversarial.get("loss")
        if not isinstance(loss, Adversarial) or adversarial.keys() != {"weight", "loss"}:
            raise UserError("loss.adversarial must have exactly a weight and a loss")
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise UserError(f"loss.adversarial.weight={weight} is not a number")
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"loss.adversarial.weight={weight} must be a number from 0")
        self.adversarial, self.adversarial_weight = loss, float(weight)
