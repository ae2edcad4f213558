"""What every discriminator shares: a stack of convolutions, pooling to a fixed size, a head.

Pooling lets one discriminator judge crops of any size; at the paper's own size it changes
nothing. No sigmoid at the end: the losses take logits, whose logarithms are exact.
"""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sr_experiments.errors import UserError


class Discriminator(nn.Module):
    """Convolutions, adaptive average pooling, two dense layers.

    Args:
        features: Convolutions and activations.
        channels: Channels that they end with.
        pool: Height and width that they are pooled to.
        hidden: Neurons of the first dense layer.
        slope: Of its leaky ReLU.
        norm_weights: Divide every layer's weight by its largest singular value (spectral
            norm, Miyato et al., 2018), which bounds how steep the discriminator can be.

    Raises:
        UserError: A size is below 1.

    Shape:
        (N, 3, H, W) in [0, 1] to (N, 1) logits: above zero for a real picture.
    """

    def __init__(
        self,
        features: nn.Sequential,
        channels: int,
        pool: int,
        hidden: int,
        slope: float,
        norm_weights: bool,
    ) -> None:
        super().__init__()
        for name, value in (("pool", pool), ("hidden", hidden)):
            if value < 1:
                raise UserError(f"discriminator.{name}={value} is below 1")
        self.features = features
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(pool),
            nn.Flatten(),
            nn.Linear(channels * pool**2, hidden),
            nn.LeakyReLU(slope),
            nn.Linear(hidden, 1),
        )
        if norm_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)

    def forward(self, pictures: Tensor) -> Tensor:
        """Judge (N, 3, H, W): (N, 1) logits."""
        logits: Tensor = self.head(self.features(pictures))
        return logits
