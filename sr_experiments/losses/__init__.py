"""Training criteria: each a function, where it is one, and the module that holds its options.

A loss is called with prediction and target and gives a scalar, or weighted terms by name. One
that has ``needs_low_res`` set is called with the low-resolution batch as well.
"""

from sr_experiments.losses.adversarial import Adversarial, gradient_penalty
from sr_experiments.losses.charbonnier import Charbonnier, charbonnier
from sr_experiments.losses.combined import Combined
from sr_experiments.losses.contrastive import Contrastive
from sr_experiments.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from sr_experiments.losses.dct_l1 import DCTL1, dct_l1
from sr_experiments.losses.features import FeatureExtractor
from sr_experiments.losses.generator import GeneratorLoss
from sr_experiments.losses.l1 import L1, l1
from sr_experiments.losses.mse import MSE, mse
from sr_experiments.losses.perceptual import Perceptual
from sr_experiments.losses.psnr import PSNR, negative_psnr
from sr_experiments.losses.total_variation import TotalVariation, total_variation

__all__ = [
    "DCTL1",
    "L1",
    "MSE",
    "PSNR",
    "Adversarial",
    "BinaryCrossEntropy",
    "Charbonnier",
    "Combined",
    "Contrastive",
    "CrossEntropy",
    "FeatureExtractor",
    "GeneratorLoss",
    "Perceptual",
    "TotalVariation",
    "charbonnier",
    "dct_l1",
    "gradient_penalty",
    "l1",
    "mse",
    "negative_psnr",
    "total_variation",
]
