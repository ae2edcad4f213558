"""ESPCN (Shi et al., 2016, arXiv:1609.05158): all work at low resolution.

The last convolution emits ``scale^2`` sub-images that pixel shuffle interleaves, so no layer
ever sees a high-resolution tensor.

Deviations:
- RGB in and out, as the ESPCN* of the XLSR paper's tables 1 and 5 (31K parameters at x3); the
  original enlarges luma alone.
- ReLU in place of the original's tanh. The XLSR paper does not say which its ESPCN* has, but
  explains its loss in INT8 (29.54 to 23.93 dB) by hidden activations without a bound, which
  tanh would have; and ReLU costs a mobile NPU nothing. ``activation=tanh`` trains the original;
  it cannot be quantised here.
- Weights start as in yjn870/ESPCN-pytorch: He-normal by fan-out, the last layer at 0.001.
"""

from typing import Literal

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import hidden_activation, make_conv

LAST_LAYER_STD = 0.001


class ESPCN(SRModel):
    """Three convolutions, 64 and 32 wide, and a pixel shuffle.

    Args:
        scale: Enlargement.
        clip_output: Clip to [0, 1] before the shuffle; False is the paper's linear output.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
        activation: ``relu``, or ``tanh`` as published.
        block: What the hidden 3x3 convolution trains as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        clip_output: bool = False,
        clip_hidden: float | Literal["learned"] | None = None,
        activation: str = "relu",
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        self.body = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2),
            _activation(activation, clip_hidden),
            make_conv(block, 64, 32),
            _activation(activation, clip_hidden),
        )
        self.tail = nn.Conv2d(32, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.tail.weight, std=LAST_LAYER_STD)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        prediction: Tensor = self.shuffle(self.clip(self.tail(self.body(low_res))))
        return prediction


def _activation(name: str, clip_hidden: float | Literal["learned"] | None) -> nn.Module:
    if name == "relu":
        return hidden_activation(clip_hidden)
    if name != "tanh":
        raise UserError(f"model.activation={name} is not known: use relu or tanh.")
    if clip_hidden is not None:
        raise UserError("model.clip_hidden bounds ReLUs: leave it null with activation=tanh.")
    return nn.Tanh()
