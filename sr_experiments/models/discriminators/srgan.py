"""SRGAN's discriminator (Ledig et al., 2017, arXiv:1609.04802): eight convolutions, two dense.

Widths double from 64 to 512, every second convolution halves the picture, batch norm follows all
but the first. 23,565,505 parameters with a bias in every convolution, for crops of 96, which
leave the last convolution 6x6; 23,563,649 without those that batch norm makes idle
(``idle_biases=false``). The paper's own output is a sigmoid, which is in our losses.
"""

from torch import nn

from sr_experiments.models.discriminators.base import Discriminator

WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)
STRIDES = (1, 2) * 4
SLOPE = 0.2


class SRGANDiscriminator(Discriminator):
    """Eight convolutions of SRGAN.

    Args:
        width: Factor on the channels; 0.25 is for CPUs.
        pool: Height and width that the last convolution is pooled to.
        hidden: Neurons of the first dense layer.
        batch_norm: False leaves it out, as R1 and spectral norm want it.
        idle_biases: Whether convolutions before a batch norm have biases.
        spectral_norm: See `Discriminator`.
    """

    def __init__(
        self,
        width: float = 1.0,
        pool: int = 6,
        hidden: int = 1024,
        batch_norm: bool = True,
        idle_biases: bool = True,
        spectral_norm: bool = False,
    ) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for number, (wide, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
            normed = batch_norm and number > 0
            out = max(1, round(wide * width))
            bias = idle_biases or not normed
            layers.append(nn.Conv2d(channels, out, 3, stride, padding=1, bias=bias))
            layers += [nn.BatchNorm2d(out)] if normed else []
            layers.append(nn.LeakyReLU(SLOPE))
            channels = out
        super().__init__(nn.Sequential(*layers), channels, pool, hidden, SLOPE, spectral_norm)
