"""How generator and discriminator stand towards each other, and when that has collapsed."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

SATURATED = 0.98  # mean belief in real pictures less that in generated ones
CONSTANT = 0.02  # of the originals' deviation within a picture


@dataclass
class Rivalry:
    """Means over an epoch.

    Attributes:
        sums: Name to sum over the batches.
        counts: Name to number of batches.
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def judged(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Take in a batch of the discriminator.

        Args:
            real: (N, 1) belief in real pictures, from 0 to 1.
            fake: (N, 1) belief in generated ones.

        Returns:
            ``real`` and ``fake``, the mean beliefs, and ``balance``, the share of pictures told
            right: 0.5 is guessing, at 1 the discriminator has won.
        """
        right = (real > 0.5).float().mean() + (fake < 0.5).float().mean()
        values = torch.stack([real.mean(), fake.mean(), right / 2]).tolist()
        return self._take(dict(zip(("real", "fake", "balance"), values, strict=True)))

    def made(self, prediction: Tensor, high_res: Tensor) -> dict[str, float]:
        """Take in a batch of the generator.

        Args:
            prediction: (N, 3, H, W).
            high_res: The same shape.

        Returns:
            ``contrast``: deviation within generated pictures, over that within the originals.
        """
        own, wanted = (x.float().std(dim=(2, 3)).mean() for x in (prediction, high_res))
        return self._take({"contrast": float(own / wanted.clamp(min=1e-6))})

    def _take(self, values: dict[str, float]) -> dict[str, float]:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        return values

    def mean(self, name: str) -> float | None:
        """Mean over the epoch; None where nothing was taken in."""
        return self.sums[name] / self.counts[name] if name in self.sums else None

    def collapse(self) -> list[str]:
        """What went wrong in the epoch, in words; nothing when all is well."""
        found = []
        real, fake, contrast = (self.mean(name) for name in ("real", "fake", "contrast"))
        if real is not None and fake is not None and real - fake > SATURATED:
            found.append(
                f"the discriminator is saturated: D(real)={real:.3f}, D(fake)={fake:.3f}, so the "
                "generator learns next to nothing from it; lower "
                "task.discriminator_optimizer.lr, set task.g_steps=2, task.r1=5 or "
                "discriminator.spectral_norm=true"
            )
        if contrast is not None and contrast < CONSTANT:
            found.append(
                f"the generator's pictures are nearly of one colour: {contrast:.1%} of the "
                "originals' contrast; start from a trained network with init_from=, or lower "
                "optimizer.lr or loss.adversarial.weight"
            )
        return found
