"""Contrastive loss with blurred pictures as negatives (Lab216 at Mobile AI 2022, arXiv:2211.05910).

Near to the original and far from what bicubic makes of the batch's low-resolution images, both
in the hidden layers ``phi`` of VGG19 (report, 4.13)::

    L1(prediction, original) + weight * sum over layers of
        layer_weight * |phi(prediction) - phi(original)|
                     / (sum over K negatives of |phi(prediction) - phi(negative)| + 1e-7)

The report gives K = 16, which with its batch of 16 is the whole batch, an image's own enlargement
included, and no more. Layers, their weights and the L1 distance are therefore those of the loss
it builds on, CSD (Wang et al., 2021, IJCAI) in its public code. Of the weight too: CSD trains
with 200 beside an L1 of pixels in 0..255, which is 200 / 255 for ours in [0, 1]. Its trunk sees
images as they are (``normalize=false``); we scale them as the weights were trained.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sr_experiments.errors import UserError
from sr_experiments.functional.bicubic import bicubic_upscale
from sr_experiments.losses.features import FeatureExtractor, one_per_layer
from sr_experiments.losses.l1 import l1

EPS = 1e-7
CSD_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CSD_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class Contrastive(nn.Module):
    """L1 and the contrastive term, as two named terms.

    Args:
        weight: Of the contrastive term; L1 has 1.
        negatives: At most this many images of the batch, the first, are negatives of all.
        trunk: ``torchvision/<name>`` or ``timm/<name>``.
        layers: Which layers; see `FeatureExtractor`.
        layer_weights: Of their ratios; None is 1 each.
        weights: A file, ``DEFAULT`` for the hub's, or another name; see `FeatureExtractor`.
        normalize: Scale colours as the weights were trained; see `FeatureExtractor`.
        mean: Of the colours; None is that of the hub's weights.
        std: As ``mean``.

    Raises:
        UserError: An option is out of range.
    """

    needs_low_res = True

    def __init__(
        self,
        weight: float = 200 / 255,
        negatives: int = 16,
        trunk: str = "torchvision/vgg19",
        layers: Sequence[str] = CSD_LAYERS,
        layer_weights: Sequence[float] | None = CSD_WEIGHTS,
        weights: str = "DEFAULT",
        normalize: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not weight > 0:
            raise UserError(f"loss.weight={weight} must be above 0; for a plain L1 use loss=l1")
        if negatives < 1:
            raise UserError(f"loss.negatives={negatives} must be at least 1")
        self.weight, self.negatives = weight, negatives
        self.features = FeatureExtractor(trunk, layers, weights, normalize, mean, std)
        self.layer_weights = one_per_layer(layers, layer_weights)

    def forward(self, prediction: Tensor, target: Tensor, low_res: Tensor) -> dict[str, Tensor]:
        """Compare predictions with originals and with the batch's bicubic enlargements.

        Args:
            prediction: (N, 3, H, W) in [0, 1].
            target: The same shape.
            low_res: (N, 3, H / scale, W / scale).

        Returns:
            ``l1`` and ``contrastive``, weighted.
        """
        scale = prediction.shape[-1] // low_res.shape[-1]
        blurred = bicubic_upscale(low_res[: self.negatives].to(target.dtype), scale)
        with torch.no_grad():
            references = self.features(torch.cat([target, blurred]))
        terms = []
        for weight, have, known in zip(
            self.layer_weights, self.features(prediction), references, strict=True
        ):
            original, negatives = known[: len(target)], known[len(target) :]
            # Computed again on the way back: kept, the differences to 16 negatives would take
            # gigabytes in VGG's first layer alone.
            away = [
                checkpoint(_distance, have, negative, use_reentrant=False, preserve_rng_state=False)
                for negative in negatives
            ]
            terms.append(weight * l1(have, original) / (torch.stack(away).sum() + EPS))
        return {
            "l1": l1(prediction, target),
            "contrastive": self.weight * torch.stack(terms).sum(),
        }


def _distance(features: Tensor, negative: Tensor) -> Tensor:
    return (features - negative).abs().mean()
