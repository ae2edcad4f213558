"""PureConvSR (ECNUSR at Mobile AI 2022, arXiv:2211.05910, 4.3; ECNUSR/PureConvSR-AIM2022).

What ships is convolutions with ReLU and a shuffle, nothing else: clip, addition and
concatenation become convolutions of equal output.

- Three more channels carry the image through every layer with a centre weight of 1; pixels are
  not negative, so they survive the ReLUs. The last 3x3 convolution adds them as the anchor.
- clip(y) to [0, 1] is relu(1 - relu(1 - y)): the last 3x3 convolution holds -W and 1 - b, a 1x1
  one -I and 1, both with ReLU.

The network trains with three blocks 29 wide (two parallel [3x3 to 58, 1x1 back], plus input) and
an ordinary clip. The carrying weights are constants of the folded kernels, so quantisation-aware
training sees them and cannot change them. Where it goes on with the shipped form (``collapse:
true``) they are weights like others, and are rewritten after every batch, as in the repository.

Deviation: pixels are [0, 1], not 0..255. In the shipped form the clip at the end cannot act any
more; it stays because it tells the quantiser the output's range, for which the repository trains
20 epochs at a learning rate of 0.
"""

import torch
from torch import Tensor, nn

from sr_experiments.functional.kernels import enlarge_kernel, identity_kernel
from sr_experiments.models.base import SRModel
from sr_experiments.models.blocks import Collapsible, initialise, make_conv, start_quietly
from sr_experiments.models.blocks.anchor import COLOURS, nearest_kernel
from sr_experiments.models.blocks.collapsible import kernel_of


class PureConvSR(SRModel):
    """The network of team ECNUSR.

    Args:
        scale: Enlargement.
        channels: Width of the hidden layers without the three that carry the image.
        num_blocks: Convolutions between the first and the last.
        clip_output: Clip to [0, 1] as published.
        block: What the ``num_blocks`` convolutions train as (``models.blocks.factory``).
    """

    def __init__(
        self,
        scale: int = 3,
        channels: int = 29,
        num_blocks: int = 3,
        clip_output: bool = True,
        block: str = "ecnusr_online",
    ) -> None:
        super().__init__(scale, clip_output)
        layers = [_Carry(make_conv("conv", COLOURS, channels), 0), nn.ReLU()]
        for _ in range(num_blocks):
            layers += [_Carry(make_conv(block, channels, channels), channels), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        tail = nn.Conv2d(channels, COLOURS * scale**2, 3, padding=1)
        self.tail = _AnchoredTail(tail, channels, scale, clip_output)
        self.shuffle = nn.PixelShuffle(scale)
        initialise(self)
        start_quietly(self.tail, 0.0)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W)."""
        prediction: Tensor = self.shuffle(self.clip(self.tail(self.body(low_res))))
        return prediction

    @torch.no_grad()
    def after_step(self) -> None:
        """Rewrite the weights that carry, add and clip the image, where they could train."""
        if not self.collapsed:
            return
        for conv in self.body:
            if isinstance(conv, nn.Conv2d):
                passing = identity_kernel(conv.in_channels, conv.kernel_size[0], conv.weight)
                _rewrite(conv, slice(-COLOURS, None), passing[-COLOURS:], 0.0)
        clipped = isinstance(self.tail, nn.Sequential)
        last = self.tail[0] if isinstance(self.tail, nn.Sequential) else self.tail
        assert isinstance(last, nn.Conv2d)
        anchor = enlarge_kernel(nearest_kernel(self.scale**2), last.kernel_size[0])
        last.weight[:, -COLOURS:] = (-anchor if clipped else anchor).to(last.weight)
        if isinstance(self.tail, nn.Sequential):
            flip = self.tail[2]
            assert isinstance(flip, nn.Conv2d)
            _rewrite(flip, slice(None), -identity_kernel(flip.in_channels, 1, flip.weight), 1.0)


def _rewrite(conv: nn.Conv2d, outputs: slice, weight: Tensor, bias: float) -> None:
    assert conv.bias is not None
    conv.weight[outputs] = weight
    conv.bias[outputs] = bias


class _Carry(Collapsible):
    """A convolution of the features beside three channels that pass the image on.

    Shape:
        (N, features + 3, H, W) to (N, C_out + 3, H, W); without features, the convolution reads
        the image.
    """

    def __init__(self, conv: nn.Module, features: int) -> None:
        super().__init__()
        self.conv = conv
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the features, or the image if there are none, and pass the image on."""
        image = x[:, self.features :]
        return torch.cat([self.conv(x[:, : self.features] if self.features else x), image], dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel with the image's channels as rows of the identity."""
        weight, bias = kernel_of(self.conv)
        if self.features:
            weight = torch.cat(
                [weight, weight.new_zeros(len(weight), COLOURS, *weight.shape[2:])], 1
            )
        image = identity_kernel(weight.shape[1], weight.shape[2], weight)[-COLOURS:]
        return torch.cat([weight, image]), torch.cat([bias, bias.new_zeros(COLOURS)])


class _AnchoredTail(Collapsible):
    """The last convolution, which also adds the repeated image.

    Shape:
        (N, features + 3, H, W) to (N, 3 * scale^2, H, W).
    """

    anchor: Tensor

    def __init__(self, conv: nn.Conv2d, features: int, scale: int, clipped: bool) -> None:
        super().__init__()
        self.conv = conv
        self.features = features
        self.clipped = clipped
        kernel = enlarge_kernel(nearest_kernel(scale**2), conv.kernel_size[0])
        self.register_buffer("anchor", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sub-pixels, not clipped."""
        repeated = torch.repeat_interleave(x[:, self.features :], len(self.anchor) // COLOURS, 1)
        enlarged: Tensor = self.conv(x[:, : self.features]) + repeated
        return enlarged

    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel that reads the image's channels with the anchor's weights."""
        weight, bias = kernel_of(self.conv)
        return torch.cat([weight, self.anchor], dim=1), bias

    def collapse(self) -> nn.Module:
        """The convolution, followed by the lower and the upper clip as convolutions."""
        conv = super().collapse()
        if not self.clipped:
            return conv
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        conv.weight.data.neg_()
        conv.bias.data.neg_().add_(1)
        pixels = conv.out_channels
        flip = nn.Conv2d(pixels, pixels, 1).to(conv.weight)
        flip.weight.data.copy_(-identity_kernel(pixels, 1, conv.weight))
        assert flip.bias is not None
        nn.init.ones_(flip.bias)
        return nn.Sequential(conv, nn.ReLU(), flip)
