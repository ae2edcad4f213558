"""Adversarial losses: what the discriminator minimises, and what the generator against it.

With logits ``r`` of real pictures, ``f`` of generated ones, ``s`` the sigmoid, and ``m`` a mean
over the batch:

====================  ================================  =============================
kind                  discriminator                     generator
====================  ================================  =============================
vanilla               -log s(r) - log(1 - s(f))         log(1 - s(f))
non_saturating        the same                          -log s(f)
hinge                 max(0, 1 - r) + max(0, 1 + f)     -f
least_squares         (r - 1)^2 + f^2                   (f - 1)^2
relativistic_average  -log s(r - m f)                   -log s(f - m r)
                      - log(1 - s(f - m r))             - log(1 - s(r - m f))
probability           1 - s(r) + s(f)                   1 - s(f)
====================  ================================  =============================

``vanilla`` and ``non_saturating`` are of Goodfellow et al. (2014), ``hinge`` of Lim and Ye (2017,
arXiv:1705.02894), ``least_squares`` of Mao et al. (2017, arXiv:1611.04076),
``relativistic_average`` of Jolicoeur-Martineau (2018, arXiv:1807.00734) as ESRGAN has it, with
each of its two terms halved as in BasicSR, and ``probability`` is that of Swift-SRGAN's code, which
has no logarithm. Logarithms are taken of logits in one stable step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from sr_experiments.errors import UserError

KINDS = (
    "vanilla",
    "non_saturating",
    "hinge",
    "least_squares",
    "relativistic_average",
    "probability",
)


class Adversarial(nn.Module):
    """One of the losses above.

    Args:
        kind: Which.

    Raises:
        UserError: There is no such kind.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(
                f"loss.adversarial.loss.kind={kind} is unknown; choose {', '.join(KINDS)}"
            )
        self.kind = kind

    @property
    def relative(self) -> bool:
        """Whether a picture is judged beside the others of the batch."""
        return self.kind == "relativistic_average"

    def discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the discriminator minimises the sum of: ``real`` and ``fake``.

        Args:
            real: (N, 1) logits of real pictures.
            fake: (N, 1) logits of generated ones.
        """
        if self.kind == "hinge":
            return {"real": F.relu(1 - real).mean(), "fake": F.relu(1 + fake).mean()}
        if self.kind == "least_squares":
            return {"real": (real - 1).square().mean(), "fake": fake.square().mean()}
        if self.kind == "probability":
            return {"real": (1 - real.sigmoid()).mean(), "fake": fake.sigmoid().mean()}
        if self.relative:
            return {
                "real": F.softplus(batch_mean(fake) - real).mean() / 2,
                "fake": F.softplus(fake - batch_mean(real)).mean() / 2,
            }
        return {"real": F.softplus(-real).mean(), "fake": F.softplus(fake).mean()}

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the generator minimises, a scalar.

        Args:
            real: (N, 1) logits of real pictures, of which only ``relativistic_average`` asks.
            fake: (N, 1) logits of generated ones.
        """
        if self.kind == "vanilla":
            return -F.softplus(fake).mean()
        if self.kind == "non_saturating":
            return F.softplus(-fake).mean()
        if self.kind == "hinge":
            return -fake.mean()
        if self.kind == "least_squares":
            return (fake - 1).square().mean()
        if self.kind == "probability":
            return (1 - fake.sigmoid()).mean()
        judged = F.softplus(batch_mean(real) - fake) + F.softplus(real - batch_mean(fake))
        return judged.mean() / 2

    def belief(self, logits: Tensor, others: Tensor) -> Tensor:
        """How real the discriminator thinks each picture is, from 0 to 1; 0.5 is undecided.

        Args:
            logits: (N, 1) of the pictures.
            others: (N, 1) of those that they are compared with, where they are.
        """
        if self.relative:
            return torch.sigmoid(logits - batch_mean(others))
        if self.kind == "least_squares":
            return logits.clamp(0, 1)
        if self.kind == "hinge":
            return ((logits + 1) / 2).clamp(0, 1)
        return logits.sigmoid()


def batch_mean(logits: Tensor) -> Tensor:
    """Mean over the batch of all processes, a scalar; gradients pass to each of them."""
    mean = logits.mean()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        total: Tensor = all_reduce(mean)  # type: ignore[no-untyped-call]
        return total / torch.distributed.get_world_size()
    return mean


def gradient_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """R1 (Mescheder et al., 2018, arXiv:1801.04406): squared gradient at real pictures, a scalar.

    Mean over the batch of the squared length of a picture's gradient; the usual weight of it is
    half of a gamma from 1 to 10.

    Args:
        logits: (N, 1), computed from ``pictures``.
        pictures: (N, 3, H, W) that require gradients.

    Example:
        >>> pictures = torch.ones(2, 3, 4, 4, requires_grad=True)
        >>> gradient_penalty(2 * pictures.flatten(1).sum(1), pictures).item()
        192.0
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()
