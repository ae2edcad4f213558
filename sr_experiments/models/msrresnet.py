"""MSRResNet (BasicSR, Wang et al., 2018): SRResNet without batch norm, on a bilinear picture.

BasicSR's form of SRResNet, the one that ESRGAN's authors compare with: no batch norm, LeakyReLU
instead of PReLU, 3x3 convolutions throughout, one more of them at the end, and the bilinear
enlargement of the picture added to the output. 1,517,571 parameters at x4, 1,554,499 at x3.

Kernels start He-normal times 0.1, biases at zero, as in its code (xinntao/BasicSR,
``srresnet_arch.py``).
"""

from torch import Tensor, nn

from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import enlargement_steps

SLOPE = 0.1
START = 0.1  # factor on the He-normal kernels


class MSRResNet(SRModel):
    """Sixteen residual blocks, 64 wide.

    Args:
        scale: 3 or a power of two (which enlarges by 2 several times).
        channels: Width.
        num_blocks: Residual blocks.
        clip_output: Clip the prediction to [0, 1]; False is the published linear output.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 64,
        num_blocks: int = 16,
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(SLOPE))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(num_blocks)
        )
        enlarge: list[nn.Module] = []
        for factor in enlargement_steps("MSRResNet", scale):
            enlarge += [
                nn.Conv2d(channels, channels * factor**2, 3, padding=1),
                nn.PixelShuffle(factor),
                nn.LeakyReLU(SLOPE),
            ]
        self.tail = nn.Sequential(
            *enlarge,
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, 3, 3, padding=1),
        )
        self.upscale = nn.Upsample(scale_factor=scale, mode="bilinear")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                module.weight.data.mul_(START)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        features = self.head(low_res)
        for residual in self.blocks:
            features = features + residual(features)
        return self.clip(self.tail(features) + self.upscale(low_res))
