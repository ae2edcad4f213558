"""VDSR (Kim et al., 2016, arXiv:1511.04587): twenty layers that learn what bicubic misses.

The network sees the bicubic enlargement and adds a residual to it, which is what let so deep a
network train at all in 2016; the price is that every layer works at high resolution.

Deviations:
- RGB in and out, as the VDSR* of the XLSR paper's table 1 (668K parameters); the original
  enlarges luma alone.
- The enlargement is part of the network (a fixed convolution equal to MATLAB's ``imresize``),
  so the network takes the small picture and can be shipped as one file.
- One scale a network, with biases, no adjustable gradient clipping: that is the trainer's.
"""

from typing import Literal

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import BicubicUpscale, hidden_activation, make_conv


class VDSR(SRModel):
    """Bicubic plus ``num_blocks + 2`` convolutions at high resolution.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: Convolutions between the first and the last.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 18,
        clip_output: bool = False,
        clip_hidden: float | Literal["learned"] | None = None,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        self.upscale = BicubicUpscale(scale)
        layers = [make_conv("conv", 3, channels), hidden_activation(clip_hidden)]
        for _ in range(num_blocks):
            layers += [make_conv(block, channels, channels), hidden_activation(clip_hidden)]
        self.body = nn.Sequential(*layers, make_conv("conv", channels, 3))
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        enlarged = self.upscale(low_res)
        return self.clip(enlarged + self.body(enlarged))
