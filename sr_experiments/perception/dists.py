"""DISTS (Ding et al., 2020, arXiv:2004.07728): structure and texture in VGG16's layers.

torchmetrics' network, which also brings the weights of its terms; VGG16's own come from
torchvision's hub or a file. It is read when first used, as `FeatureExtractor` reads its trunk.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError

HUB = "DEFAULT"


class DISTS(nn.Module):
    """Deep image structure and texture similarity: 0 for equal pictures.

    Args:
        weights: Of VGG16: ``DEFAULT`` for torchvision's, or a file with its key names.
    """

    def __init__(self, weights: str = HUB) -> None:
        super().__init__()
        self.weights = weights
        self._network: list[nn.Module] = []  # a list, so that it is no submodule

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (N, 3, H, W) with the same: a scalar, without a gradient.

        Raises:
            UserError: VGG16's weights cannot be had.
        """
        if not self._network:
            self._network.append(_load(self.weights).eval())
        network = self._network[0].to(prediction.device)
        with torch.no_grad():
            scores: Tensor = network(prediction, target, require_grad=True)
        return scores.mean()


def _load(weights: str) -> nn.Module:
    """Torchmetrics' network, of VGG16 with weights from the hub or a file."""
    from importlib import import_module

    from torchvision.models import vgg16

    dists: Any = import_module("torchmetrics.functional.image.dists")

    state: Any = None
    if weights != HUB:
        file = Path(weights).expanduser()
        if not file.is_file():
            raise UserError(f"weights={file}: there is no such file with VGG16's weights")
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # pickle and zip raise their own kinds
            raise UserError(f"weights={file} cannot be read as weights: {error}") from error
    hub_vgg16 = dists.vgg16

    def filled(**_: Any) -> Any:
        network: Any = vgg16()
        features = {
            name.removeprefix("features."): value
            for name, value in state.items()
            if name.startswith("features.")
        }
        network.features.load_state_dict(features)
        return network

    try:
        with torch.random.fork_rng(devices=[]):
            if state is not None:
                dists.vgg16 = filled  # the class has no other way to be given weights
            made: nn.Module = dists.DISTSNetwork()
    except Exception as error:  # the hub and torch raise their own kinds
        raise UserError(
            f"VGG16's weights for DISTS could not be had ({error}); name a file with weights="
        ) from error
    finally:
        dists.vgg16 = hub_vgg16
    return made
