"""SRCNN (Dong et al., 2014/2016, arXiv:1501.00092): the first network to enlarge pictures.

Three convolutions on the bicubic enlargement: 9x9 finds patches, the second maps them, the third
puts the picture together. The 2016 paper's best form has a 5x5 in the middle (9-5-5, its
published figures); the 2014 one maps each pixel by itself (9-1-5).

Deviations:
- RGB in and out, as the other old baselines here: 69,251 parameters as 9-5-5, 20,099 as 9-1-5;
  the original enlarges luma alone (57,184 and 8,032 weights).
- The enlargement is part of the network, as in ``VDSR``, and borders are padded with zeros; the
  original convolves without padding and loses a border.
- He-normal kernels, the last layer at 0.001, as ESPCN here. The original starts every layer at
  0.001, from where it took 8e8 backpropagations to learn to copy a picture and improve it.
"""

from typing import Literal

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import BicubicUpscale, hidden_activation, make_conv

WIDTHS = (64, 32)
FIRST_KERNEL, LAST_KERNEL = 9, 5
LAST_LAYER_STD = 0.001


class SRCNN(SRModel):
    """SRCNN 9-5-5.

    Args:
        scale: Enlargement.
        middle_kernel: Side of the middle kernel: 5, 3 or 1.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
        clip_hidden: Upper bound of the hidden ReLUs, ``"learned"``, or None for none.
        block: What the middle convolution trains as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        middle_kernel: int = 5,
        clip_output: bool = False,
        clip_hidden: float | Literal["learned"] | None = None,
        block: str = "conv",
    ) -> None:
        super().__init__(scale, clip_output)
        if middle_kernel not in (1, 3, 5):
            raise UserError(f"model.middle_kernel={middle_kernel} is not known: use 5, 3 or 1.")
        self.upscale = BicubicUpscale(scale)
        self.body = nn.Sequential(
            make_conv("conv", 3, WIDTHS[0], FIRST_KERNEL),
            hidden_activation(clip_hidden),
            make_conv(block, *WIDTHS, middle_kernel),
            hidden_activation(clip_hidden),
        )
        self.tail = nn.Conv2d(WIDTHS[1], 3, LAST_KERNEL, padding=LAST_KERNEL // 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.tail.weight, std=LAST_LAYER_STD)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        return self.clip(self.tail(self.body(self.upscale(low_res))))
