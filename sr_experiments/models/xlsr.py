"""XLSR (Ayazoglu, 2021, arXiv:2105.10288): extremely light, and robust to quantisation.

Grouped 3x3 convolutions mixed by 1x1 ones, no additions, and a clipped ReLU at the output:
with the range known, the hidden activations have no reason to grow outliers, and INT8 loses
0.28 dB where a linear output loses 5.39 (table 2).

The figures are not in the paper's text; the layout is the one on which three public
re-implementations agree and the only one of them with the paper's 22K parameters.

Deviations:
- The four parallel 3->8 convolutions at the input are one 3->32: the same function.
- Initialisation. "He-normal with 0.1 variance scaling" has three readings. ``he_0.1``, the
  default, is Keras's ``VarianceScaling(0.1)``: a truncated normal with variance 0.1 / fan-in, in
  place of He's 2 / fan-in. ``he_0.2_fan_out`` has variance 0.2 / fan-out (not divided by the
  groups) and bias 0.01, as cxzhou95/XLSR. ``he_times_0.1`` is He's weights times 0.1, as ESRGAN.
  Whichever: with zero bias no output channel starts dead at the clip, whereas PyTorch's own
  initialisation starts with 2 to 6 of the 27 dead on all of Set5 (5 seeds).
- The clip comes before the pixel shuffle; the two commute, and a channel that died is visible.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import hidden_activation

CHANNELS = 32
SKIP_CHANNELS = 16
GROUPS = 4
NUM_BLOCKS = 3

# Standard deviation of a unit normal that is cut at two standard deviations.
TRUNCATED_STD = 0.87962566103423978


class XLSR(SRModel):
    """The network of the paper.

    Args:
        scale: Enlargement; the widths stay the same at every scale.
        clip_output: The paper's clipped ReLU; False is the linear output of its table 2.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none (3.2).
        depthwise: Depthwise in place of grouped convolutions, which 3.1 advises against
            because they quantise badly.
        init: Reading of the paper's initialisation: ``he_0.1``, ``he_0.2_fan_out`` or
            ``he_times_0.1``.
    """

    def __init__(
        self,
        scale: int = 3,
        clip_output: bool = True,
        clip_hidden: float | Literal["learned"] | None = None,
        depthwise: bool = False,
        init: str = "he_0.1",
    ) -> None:
        super().__init__(scale, clip_output)
        groups = CHANNELS if depthwise else GROUPS
        self.head = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 3, padding=1), hidden_activation(clip_hidden)
        )
        self.mix = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=groups),
                    hidden_activation(clip_hidden),
                    nn.Conv2d(CHANNELS, CHANNELS, 1),
                )
                for _ in range(NUM_BLOCKS)
            )
        )
        self.skip = nn.Conv2d(3, SKIP_CHANNELS, 3, padding=1)
        self.fuse = nn.Sequential(
            nn.Conv2d(CHANNELS + SKIP_CHANNELS, CHANNELS, 1), hidden_activation(clip_hidden)
        )
        self.tail = nn.Conv2d(CHANNELS, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _initialise(module, init)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        deep = self.blocks(self.mix(self.head(low_res)))
        features = self.fuse(torch.cat([deep, self.skip(low_res)], dim=1))
        prediction: Tensor = self.shuffle(self.clip(self.tail(features)))
        return prediction


def _initialise(conv: nn.Conv2d, init: str) -> None:
    fan_in = conv.weight[0].numel()
    fan_out = conv.weight.shape[0] * conv.weight[0, 0].numel()
    if init == "he_0.1":
        std = math.sqrt(0.1 / fan_in) / TRUNCATED_STD
        nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)
    elif init == "he_0.2_fan_out":
        nn.init.normal_(conv.weight, std=math.sqrt(0.2 / fan_out))
    elif init == "he_times_0.1":
        nn.init.normal_(conv.weight, std=0.1 * math.sqrt(2 / fan_in))
    else:
        raise UserError(
            f"model.init={init} is not known: use he_0.1, he_0.2_fan_out or he_times_0.1."
        )
    assert conv.bias is not None
    nn.init.constant_(conv.bias, 0.01 if init == "he_0.2_fan_out" else 0.0)
