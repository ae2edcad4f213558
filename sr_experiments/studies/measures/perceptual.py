"""M4 of the mini-batch paper (3.2.4): how far a picture looks from the set's mean picture.

LPIPS (Zhang et al., 2018, arXiv:1801.03924): features of a classifier at several layers, each
pixel's scaled to length 1, squared differences weighted by channel, mean over the pixels, sum
over the layers. `LPIPS` is version 0.1 with AlexNet: its channel weights come with torchmetrics,
AlexNet's own from torchvision's hub or a file. `FeatureDistance` is the same on any other
classifier with every channel weighing 1: a substitute where AlexNet's weights cannot be had, and
called one wherever its results are shown.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sr_experiments.losses.features import FeatureExtractor
from sr_experiments.perception.lpips import ALEXNET_LAYERS, fitted_weights, unit
from sr_experiments.studies.measures.base import Measure

__all__ = ["LPIPS", "FeatureDistance"]


class FeatureDistance(Measure):
    """Distance from the mean of all pictures in the feature space of a classifier.

    Args:
        trunk: ``torchvision/<name>`` or ``timm/<name>``.
        layers: Whose outputs are compared.
        weights: ``DEFAULT`` for the hub's, or a file.
        mean: Of the colours that the weights were trained with; None: the hub's.
        std: As ``mean``.
    """

    ends = ("nearest to the mean picture", "farthest")

    def __init__(
        self,
        trunk: str,
        layers: Sequence[str],
        weights: str = "DEFAULT",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.trunk, self.layers, self.weights = trunk, list(layers), weights
        self.mean, self.std = mean, std
        self.title = f"distance to the mean picture ({trunk.partition('/')[2]}, LPIPS substitute)"
        self._features = FeatureExtractor(trunk, layers, weights, mean=mean, std=std)
        self._reference: list[Tensor] | None = None

    def begin(self, pictures: Tensor) -> None:
        """Look at the mean picture, rounded to nothing."""
        total = sum(part.double().sum(0) for part in torch.split(pictures, 1000))
        assert isinstance(total, Tensor)
        mean = (total / len(pictures) / 255).float()
        self._features.to(pictures.device)
        with torch.no_grad():
            self._reference = self._features(mean[None])

    def __call__(self, pictures: Tensor) -> Tensor:
        """See `Measure`; after `begin`."""
        assert self._reference is not None
        distance = torch.zeros(len(pictures), device=pictures.device)
        found = self._features(pictures.float() / 255)
        for layer, (features, mean) in enumerate(zip(found, self._reference, strict=True)):
            squared = (unit(features) - unit(mean)) ** 2
            distance += (squared * self.channel_weights(layer, squared)).sum(1).mean((1, 2))
        return distance

    def channel_weights(self, layer: int, like: Tensor) -> Tensor:
        """What each channel's square counts in one layer, (1, C, 1, 1)."""
        return like.new_ones(1)


class LPIPS(FeatureDistance):
    """LPIPS 0.1 with AlexNet.

    Args:
        weights: Of AlexNet: ``DEFAULT`` for torchvision's, or a file with its key names.
    """

    def __init__(self, weights: str = "DEFAULT") -> None:
        # Mean and deviation are those of LPIPS's own scaling layer: torchvision's.
        super().__init__("torchvision/alexnet", ALEXNET_LAYERS, weights)
        self.title = "perceptual distance to the mean picture (LPIPS, AlexNet)"
        self._channels: list[Tensor] | None = None

    def channel_weights(self, layer: int, like: Tensor) -> Tensor:
        """See `FeatureDistance`; the weights that Zhang et al. fitted to human judgement."""
        if self._channels is None:
            self._channels = fitted_weights()
        return self._channels[layer].to(like)
