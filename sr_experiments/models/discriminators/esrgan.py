"""ESRGAN's discriminator (Wang et al., 2018, arXiv:1809.00219; xinntao/BasicSR): five halvings.

A 3x3 convolution and a 4x4 one of stride 2 at each of the widths 64, 128, 256, 512 and 512, batch
norm behind all but the first, then dense layers of 100 and 1: 14,499,401 parameters, for crops of
128, which leave 4x4. The relativistic comparison of its logits is in the loss.
"""

from torch import nn

from sr_experiments.models.discriminators.base import Discriminator

WIDTHS = (64, 128, 256, 512, 512)
SLOPE = 0.2


class ESRGANDiscriminator(Discriminator):
    """Five pairs of convolutions of ESRGAN.

    Args:
        width: Factor on the channels; 0.25 is for CPUs.
        pool: Height and width that the last convolution is pooled to.
        hidden: Neurons of the first dense layer.
        batch_norm: False leaves it out, as R1 and spectral norm want it.
        spectral_norm: See `Discriminator`.
    """

    def __init__(
        self,
        width: float = 1.0,
        pool: int = 4,
        hidden: int = 100,
        batch_norm: bool = True,
        spectral_norm: bool = False,
    ) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for wide in WIDTHS:
            out = max(1, round(wide * width))
            for kernel, stride in ((3, 1), (4, 2)):
                normed = batch_norm and len(layers) > 0
                layers.append(nn.Conv2d(channels, out, kernel, stride, padding=1, bias=not normed))
                layers += [nn.BatchNorm2d(out)] if normed else []
                layers.append(nn.LeakyReLU(SLOPE))
                channels = out
        super().__init__(nn.Sequential(*layers), channels, pool, hidden, SLOPE, spectral_norm)
