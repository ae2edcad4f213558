"""What photos that people enlarge have suffered beyond being small: blur, noise and JPEG.

Applied to low-res crops in training, each of the three with a strength and in an order of its own,
as blind enlargers are trained (BSRGAN, arXiv:2103.14006; Real-ESRGAN, arXiv:2107.10833, which
repeat it). Here it follows the bicubic shrink, so the packed pictures stay as they are.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sr_experiments.errors import UserError

__all__ = ["Degradation"]

REACH = 3.0  # deviations that a kernel reaches to each side
STREAM = 1  # of random numbers, apart from those that choose the crops


class Degradation:
    """Blur, noise and JPEG in random order, a pure function of seed and iteration.

    Args:
        share: Of the crops that are degraded; 0 leaves all as they are.
        blur: Least and largest deviation of a Gaussian, in low-res pixels.
        noise: Least and largest deviation of Gaussian noise, of 255.
        jpeg: Least and largest quality.

    Raises:
        UserError: A range makes no sense.
    """

    def __init__(
        self,
        share: float = 0.0,
        blur: Sequence[float] = (0.2, 1.5),
        noise: Sequence[float] = (0.0, 10.0),
        jpeg: Sequence[int] = (40, 95),
    ) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"data.degradation.share={share} is not a share from 0 to 1")
        for name, values, least, most in (
            ("blur", blur, 0, 10),
            ("noise", noise, 0, 255),
            ("jpeg", jpeg, 1, 100),
        ):
            if len(values) != 2 or not least <= values[0] <= values[1] <= most:
                raise UserError(
                    f"data.degradation.{name}={list(values)} is no range within {least}..{most}"
                )
        self.share = share
        self.blur, self.noise = (blur[0], blur[1]), (noise[0], noise[1])
        self.jpeg = jpeg[0], jpeg[1]

    def __call__(self, low_res: Tensor, seed: int, iteration: int) -> Tensor:
        """Degrade a batch.

        Args:
            low_res: (N, 3, h, w) in [0, 1], on any device.
            seed: Of the training.
            iteration: Of the batch.

        Returns:
            The same shape, device and memory order, whole levels of 255 where it was degraded.
        """
        if self.share == 0:
            return low_res
        random = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([seed % 2**64, iteration, STREAM]))
        )
        crops = low_res.cpu().clone()
        for index in range(len(crops)):
            if random.random() < self.share:
                crops[index] = self._one(crops[index], random)
        format_ = torch.channels_last if low_res.stride(1) == 1 else torch.contiguous_format
        return crops.to(low_res.device).contiguous(memory_format=format_)

    def _one(self, crop: Tensor, random: np.random.Generator) -> Tensor:
        deviation = random.uniform(self.blur[0], self.blur[1])
        strength = random.uniform(self.noise[0], self.noise[1]) / 255
        grain = torch.from_numpy(random.standard_normal(crop.shape).astype(np.float32))
        quality = int(random.integers(self.jpeg[0], self.jpeg[1] + 1))
        steps: list[Callable[[Tensor], Tensor]] = [
            lambda x: blurred(x, deviation),
            lambda x: x + strength * grain,
            lambda x: compressed(x, quality),
        ]
        for step in random.permutation(len(steps)):
            crop = steps[step](crop)
        return crop.clamp(0, 1).mul(255).round() / 255


def blurred(image: Tensor, deviation: float) -> Tensor:
    """An image, (3, H, W), behind a Gaussian of a deviation in pixels; its border is mirrored."""
    radius = min(round(REACH * deviation), min(image.shape[-2:]) - 1)
    if radius < 1:
        return image
    at = torch.arange(-radius, radius + 1, dtype=image.dtype)
    kernel = torch.exp(-at.square() / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = F.pad(image[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(-1, -2))[:, 0]


def compressed(image: Tensor, quality: int) -> Tensor:
    """An image, (3, H, W) in [0, 1], through a JPEG file in memory."""
    pixels = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "jpeg", quality=quality)
    decoded = np.array(Image.open(file).convert("RGB"))
    return torch.from_numpy(decoded).permute(2, 0, 1).to(image.dtype) / 255
