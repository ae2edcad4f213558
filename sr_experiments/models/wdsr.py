"""WDSR (Yu et al., 2018, arXiv:1808.08718): a slim residual path, wide before the ReLU.

The block widens its features several times before the activation and narrows them after it, at
the cost of a narrower path between the blocks. WDSR-A does it with two 3x3 convolutions; WDSR-B
widens further with 1x1 ones and narrows in two steps, of which the first is linear and low-rank.
One 5x5 convolution of the picture is all that bypasses the blocks, nothing follows the pixel
shuffle, and every convolution is weight-normalised instead of batch-normalised.

The default is the repository's baseline (JiahuiYu/wdsr_ntire2018): WDSR-A, 32 channels, 128
inside, 16 blocks, 1,190,100 parameters at x2 with the lengths of weight normalisation, which
``collapse`` folds away. Two more configurations are ours:

- The XLSR paper's table 1 gives WDSR 75M parameters and no layers. 64 blocks of WDSR-A, 128
  channels and 512 inside, each as large as one of EDSR's with 256 channels, have 75,616,341 at
  x3 (``conf/model/wdsr_large.yaml``), cut to 75M as the same table cuts EDSR's 43,680,003 to 43M;
  63 blocks have 74.4M. WDSR-B with 256 channels, expansion 6 and 64 blocks would fit as well.
- ``conf/model/wdsr_b.yaml``: WDSR-B with 64 channels, at which its 16 blocks are as large as the
  baseline's.

Deviations:
- The input is [0, 1], not 0..255: it is centred at DIV2K's mean colour and doubled, which is the
  authors' scale (255 / 127.5). Halving and the mean are applied before the pixel shuffle, where
  a convolution takes them over.
- Initialisation is PyTorch's own, as in the authors' code.
"""

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import DIV2K_MEAN, ChannelOffset, WeightNormConv2d

RANGE = 2.0  # the authors' input lies in -1..1, ours in 0..1
LOW_RANK = 0.8  # channels between the linear convolutions of WDSR-B, as a share of ``channels``


class WDSR(SRModel):
    """WDSR-A's baseline by default.

    Args:
        scale: Enlargement.
        channels: Width between the blocks.
        num_blocks: Residual blocks.
        expansion: How many times wider the features before an activation are: 4 in WDSR-A's
            baseline, 6 in the authors' WDSR-B.
        variant: ``a`` or ``b``.
        clip_output: Clip the prediction to [0, 1]; False is the paper's linear output.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 32,
        num_blocks: int = 16,
        expansion: int = 4,
        variant: str = "a",
        clip_output: bool = False,
    ) -> None:
        super().__init__(scale, clip_output)
        if variant not in ("a", "b"):
            raise UserError(f"model.variant={variant} is not known: use a or b.")
        residual = _residual_a if variant == "a" else _residual_b
        self.subtract_mean = ChannelOffset([-value for value in DIV2K_MEAN])
        self.head = WeightNormConv2d(3, channels, 3)
        self.blocks = nn.ModuleList(
            residual(channels, expansion * channels) for _ in range(num_blocks)
        )
        self.tail = WeightNormConv2d(channels, 3 * scale**2, 3)
        self.skip = WeightNormConv2d(3, 3 * scale**2, 5)
        self.add_mean = ChannelOffset([v for v in DIV2K_MEAN for _ in range(scale**2)])
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        centred = self.subtract_mean(low_res) * RANGE
        features = self.head(centred)
        for residual in self.blocks:
            features = features + residual(features)
        bypass = self.add_mean(self.skip(centred) / RANGE)
        prediction: Tensor = self.shuffle(self.clip(self.tail(features) / RANGE + bypass))
        return prediction


def _residual_a(channels: int, inside: int) -> nn.Module:
    return nn.Sequential(
        WeightNormConv2d(channels, inside, 3), nn.ReLU(), WeightNormConv2d(inside, channels, 3)
    )


def _residual_b(channels: int, inside: int) -> nn.Module:
    narrow = int(LOW_RANK * channels)
    return nn.Sequential(
        WeightNormConv2d(channels, inside, 1),
        nn.ReLU(),
        WeightNormConv2d(inside, narrow, 1),
        WeightNormConv2d(narrow, channels, 3),
    )
