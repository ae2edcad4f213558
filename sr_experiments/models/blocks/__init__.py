"""Building blocks that several networks share, and that the tracer treats as one operator.

``LEAF_MODULES`` is what ``torch.fx`` must not look into: each is one operator of the graph
that the fake-quantiser and the TFLite and ONNX writers read.
"""

from torch import nn

from sr_experiments.models.blocks.anchor import NearestConv, make_anchor
from sr_experiments.models.blocks.bicubic_upscale import BicubicUpscale
from sr_experiments.models.blocks.channel_offset import ChannelOffset
from sr_experiments.models.blocks.clipped_relu import ClippedReLU, hidden_activation
from sr_experiments.models.blocks.collapsible import Collapsible, Reparameterised, ScaledConv2d
from sr_experiments.models.blocks.factory import BLOCKS, make_conv
from sr_experiments.models.blocks.initialise import GREY, initialise, start_quietly
from sr_experiments.models.blocks.repeat_channels import RepeatChannels

LEAF_MODULES: tuple[type[nn.Module], ...] = (
    BicubicUpscale,
    ChannelOffset,
    ClippedReLU,
    Collapsible,
    RepeatChannels,
)

__all__ = [
    "BLOCKS",
    "GREY",
    "LEAF_MODULES",
    "BicubicUpscale",
    "ChannelOffset",
    "ClippedReLU",
    "Collapsible",
    "NearestConv",
    "Reparameterised",
    "RepeatChannels",
    "ScaledConv2d",
    "hidden_activation",
    "initialise",
    "make_anchor",
    "make_conv",
    "start_quietly",
]
