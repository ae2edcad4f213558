"""SESR (Bhardwaj et al., 2022, arXiv:2103.09404): collapsible linear blocks.

Every convolution trains as a wide one followed by a 1x1, without activation in between, and with
the input added where it fits; what ships is one convolution each. Folding at every step makes
that as cheap as the small network. Two long residuals stay: the first features around the body,
and the picture around it all.

M3, M5, M7 and M11 have as many 3x3 convolutions of 16 channels, XL eleven of 32; the blocks are
256 wide inside, in M11 and XL 64 (``conf/model/sesr_*.yaml``).

Deviations:
- RGB in and out with biases, for which M3 to XL have 19,003, 23,643, 28,283, 37,563 and 125,787
  parameters at x3, folded; the original enlarges luma without biases (8,912, 13,520, 18,128,
  27,344 and 105,376 at x2).
- ReLU, as the authors' code has it for quantisation (ARM-software/sesr), which is what ships
  here; ``activation="prelu"`` is the floating-point form of the paper's tables, and adds a slope
  for each channel and convolution.
- x3 and x4 shuffle once; the original doubles twice, which is another order of the last layer's
  channels.
"""

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import ChannelOffset, initialise, make_anchor, start_quietly
from sr_experiments.models.blocks.clb import CollapsibleLinearBlock

CENTRE = 0.5  # subtracted from the picture before the first layer


class SESR(SRModel):
    """SESR-M5 by default.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers.
        num_blocks: 3x3 convolutions between the two 5x5 ones.
        width: Channels inside the collapsible blocks.
        activation: ``relu`` or ``prelu``.
        online: Run on the folded kernels as published; False runs the wide blocks.
        clip_output: Clip to [0, 1] as published.
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 16,
        num_blocks: int = 5,
        width: int = 256,
        activation: str = "relu",
        online: bool = True,
        clip_output: bool = True,
    ) -> None:
        super().__init__(scale, clip_output)
        pixels = 3 * scale**2
        self.centre = ChannelOffset([-CENTRE] * 3)
        self.head = CollapsibleLinearBlock(3, channels, 5, width, online=online)
        layers: list[nn.Module] = []
        for _ in range(num_blocks):
            layers += [
                CollapsibleLinearBlock(channels, channels, 3, width, online=online),
                _activation(activation, channels),
            ]
        self.body = nn.Sequential(*layers)
        self.tail = CollapsibleLinearBlock(channels, pixels, 5, width, online=online)
        self.anchor = make_anchor("repeat", scale)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, 0.0)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        shallow = self.head(self.centre(low_res))
        enlarged = self.tail(shallow + self.body(shallow)) + self.anchor(low_res)
        prediction: Tensor = self.shuffle(self.clip(enlarged))
        return prediction


def _activation(name: str, channels: int) -> nn.Module:
    if name == "relu":
        return nn.ReLU()
    if name == "prelu":
        return nn.PReLU(channels)
    raise UserError(f"model.activation={name} is not known: use relu or prelu.")
