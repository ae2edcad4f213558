"""LPIPS 0.1 with AlexNet (Zhang et al., 2018, arXiv:1801.03924).

Features of a classifier at several layers, each pixel's scaled to length 1; squared differences
weighted by channel as fitted to human judgement; mean over the pixels, sum over the layers. The
channels' weights come with torchmetrics, AlexNet's own from torchvision's hub or a file.
"""

import torch
from torch import Tensor, nn

from sr_experiments.losses import FeatureExtractor

ALEXNET_LAYERS = [f"features.{index}" for index in (1, 4, 7, 9, 11)]
EPS = 1e-8  # keeps features that are 0 everywhere from dividing by 0


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity: 0 for equal pictures.

    Args:
        weights: Of AlexNet: ``DEFAULT`` for torchvision's, or a file with its key names.
    """

    def __init__(self, weights: str = "DEFAULT") -> None:
        super().__init__()
        # Mean and deviation are those of LPIPS's own scaling layer: torchvision's.
        self.features = FeatureExtractor("torchvision/alexnet", ALEXNET_LAYERS, weights)
        self._channels: list[Tensor] | None = None

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same: a scalar.

        Raises:
            UserError: AlexNet's weights cannot be had.
        """
        if self._channels is None:
            self._channels = fitted_weights()
        total = prediction.new_zeros(())
        for weight, (have, want) in zip(
            self._channels, self.features.pair(prediction, target), strict=True
        ):
            squared = (unit(have) - unit(want)).square()
            total = total + (squared * weight.to(squared)).sum(1).mean()
        return total


def unit(features: Tensor) -> Tensor:
    """Each pixel's features, (N, C, h, w), scaled to length 1."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + EPS)


def fitted_weights() -> list[Tensor]:
    """What each channel's square counts in each layer, (1, C, 1, 1), as torchmetrics ships it."""
    from importlib.resources import as_file, files

    folder = files("torchmetrics") / "functional" / "image" / "lpips_models"
    with as_file(folder / "alex.pth") as path:
        state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{layer}.model.1.weight"] for layer in range(len(ALEXNET_LAYERS))]
