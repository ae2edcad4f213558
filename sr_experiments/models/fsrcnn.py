"""FSRCNN (Dong et al., 2016, arXiv:1608.00367): shrink, map, expand, then enlarge last.

A 1x1 convolution squeezes 56 features to 12, four cheap 3x3 convolutions work on those, and a
transposed convolution enlarges at the very end: some forty times faster than SRCNN.

Deviations:
- RGB in and out, as the FSRCNN* of the XLSR paper's tables 1 and 5 (25K parameters at x3); the
  original enlarges luma alone. PReLU has a slope for each channel, as published.
- Weights start as in yjn870/FSRCNN-pytorch: normal with variance 2 / fan-out, the transposed
  convolution at 0.001, biases at zero.
- No ``clip_hidden``: PReLU is not bounded below either. ``clip_output`` is XLSR's remedy.
"""

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import make_conv

FEATURES = 56
SHRUNK = 12
NUM_MAPPINGS = 4
LAST_LAYER_STD = 0.001


class FSRCNN(SRModel):
    """FSRCNN(56, 12, 4).

    Args:
        scale: Enlargement; only the transposed convolution's stride depends on it.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
        block: What the 3x3 convolutions train as (``models.blocks.factory``).
    """

    def __init__(self, scale: int = 3, clip_output: bool = False, block: str = "conv") -> None:
        super().__init__(scale, clip_output)
        mappings: list[nn.Module] = []
        for _ in range(NUM_MAPPINGS):
            mappings += [make_conv(block, SHRUNK, SHRUNK), nn.PReLU(SHRUNK)]
        self.body = nn.Sequential(
            nn.Conv2d(3, FEATURES, 5, padding=2),
            nn.PReLU(FEATURES),
            nn.Conv2d(FEATURES, SHRUNK, 1),
            nn.PReLU(SHRUNK),
            *mappings,
            nn.Conv2d(SHRUNK, FEATURES, 1),
            nn.PReLU(FEATURES),
        )
        self.enlarge = nn.ConvTranspose2d(
            FEATURES, 3, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.enlarge.weight, std=LAST_LAYER_STD)
        assert self.enlarge.bias is not None
        nn.init.zeros_(self.enlarge.bias)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        return self.clip(self.enlarge(self.body(low_res)))
