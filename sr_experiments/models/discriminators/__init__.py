"""What a GAN's generator trains against: pictures in, one logit for each out."""

from sr_experiments.models.discriminators.base import Discriminator
from sr_experiments.models.discriminators.esrgan import ESRGANDiscriminator
from sr_experiments.models.discriminators.srgan import SRGANDiscriminator
from sr_experiments.models.discriminators.swift_srgan import SwiftSRGANDiscriminator

__all__ = [
    "Discriminator",
    "ESRGANDiscriminator",
    "SRGANDiscriminator",
    "SwiftSRGANDiscriminator",
]
