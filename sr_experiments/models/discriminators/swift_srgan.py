"""Swift-SRGAN's discriminator (arXiv:2111.14320): SRGAN's, of separable convolutions.

19,413,279 parameters, of which 97 % are the dense layer behind the pooling to 6x6. The authors'
code and figure 2 of the paper disagree on the strides (``strides``): every second block halves
the picture in the code, blocks 2 and 5 in the figure. The colours of the figure's blocks put batch
norm behind the activation; the text and the code before it, and so do we.
"""

from collections.abc import Sequence

from torch import nn

from sr_experiments.errors import UserError
from sr_experiments.models.discriminators.base import Discriminator
from sr_experiments.models.discriminators.srgan import SLOPE, WIDTHS
from sr_experiments.models.swift_srgan import separable


class SwiftSRGANDiscriminator(Discriminator):
    """Eight separable convolutions.

    Args:
        width: Factor on the channels; 0.25 is for CPUs.
        strides: Of each block: the code's; the figure has 1, 2, 1, 1, 2, 1, 1, 1.
        pool: Height and width that the last convolution is pooled to.
        hidden: Neurons of the first dense layer.
        batch_norm: False leaves it out, as R1 and spectral norm want it.
        spectral_norm: See `Discriminator`.

    Raises:
        UserError: There are not eight strides, or one is below 1.
    """

    def __init__(
        self,
        width: float = 1.0,
        strides: Sequence[int] = (1, 2, 1, 2, 1, 2, 1, 2),
        pool: int = 6,
        hidden: int = 1024,
        batch_norm: bool = True,
        spectral_norm: bool = False,
    ) -> None:
        if len(strides) != len(WIDTHS) or min(strides) < 1:
            raise UserError(
                f"discriminator.strides={list(strides)} must be {len(WIDTHS)} whole numbers from 1"
            )
        layers: list[nn.Module] = []
        channels = 3
        for number, (wide, stride) in enumerate(zip(WIDTHS, strides, strict=True)):
            normed = batch_norm and number > 0
            out = max(1, round(wide * width))
            layers.append(separable(channels, out, 3, stride, bias=not normed))
            layers += [nn.BatchNorm2d(out)] if normed else []
            layers.append(nn.LeakyReLU(SLOPE))
            channels = out
        super().__init__(nn.Sequential(*layers), channels, pool, hidden, SLOPE, spectral_norm)
