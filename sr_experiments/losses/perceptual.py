"""Perceptual loss (Johnson et al., 2016, arXiv:1603.08155): distance between hidden layers.

Two pictures are alike when a trained classifier sees alike things in them. The published forms
are options of one loss:

========================================  =============================================
SRGAN (arXiv:1609.04802)                  VGG19 ``relu5_4``, mse, feature_scale 1/12.75
ESRGAN (arXiv:1809.00219)                 VGG19 ``conv5_4``, before the activation, l1
Swift-SRGAN, paper (arXiv:2111.14320)     MobileNetV2 ``features.16``, mse
Swift-SRGAN, code                         MobileNetV2 ``features.18``, mse, normalize=false
========================================  =============================================

The SRGAN paper means the activation ("after the activation"), and so do we by ``relu5_4``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.losses.features import FeatureExtractor, one_per_layer

DISTANCES = {"l1": F.l1_loss, "mse": F.mse_loss}


class Perceptual(nn.Module):
    """Weighted sum, over layers, of the mean distance between features.

    Args:
        trunk: ``torchvision/<name>`` or ``timm/<name>``.
        layers: Which layers; see `FeatureExtractor`.
        layer_weights: Of their distances; None is 1 each.
        distance: ``l1`` or ``mse``.
        feature_scale: Factor of the features before they are compared.
        weights: A file, ``DEFAULT`` for the hub's, or another name; see `FeatureExtractor`.
        normalize: Scale colours as the weights were trained; see `FeatureExtractor`.
        mean: Of the colours; None is that of the hub's weights.
        std: As ``mean``.

    Raises:
        UserError: An option is out of range.
    """

    def __init__(
        self,
        trunk: str = "torchvision/vgg19",
        layers: Sequence[str] = ("conv5_4",),
        layer_weights: Sequence[float] | None = None,
        distance: str = "l1",
        feature_scale: float = 1.0,
        weights: str = "DEFAULT",
        normalize: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise UserError(f"distance={distance} is not one of {', '.join(DISTANCES)}")
        if not feature_scale > 0:
            raise UserError(f"feature_scale={feature_scale} must be above 0")
        self.features = FeatureExtractor(trunk, layers, weights, normalize, mean, std)
        self.layer_weights = one_per_layer(layers, layer_weights)
        self.distance, self.feature_scale = distance, feature_scale

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same, both in [0, 1]; gradients to the first only."""
        measure, scale = DISTANCES[self.distance], self.feature_scale
        seen = self.features.pair(prediction, target)
        terms = [
            weight * measure(have * scale, want * scale)
            for weight, (have, want) in zip(self.layer_weights, seen, strict=True)
        ]
        return torch.stack(terms).sum()
