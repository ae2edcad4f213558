"""Building blocks that several networks share, and that the tracer treats as one operator.

``LEAF_MODULES`` is what ``torch.fx`` must not look into: each is one operator of the graph
that the fake-quantiser and the TFLite and ONNX writers read.
"""

from torch import nn

from sr_experiments.models.blocks.anchor import NearestConv, make_anchor
from sr_experiments.models.blocks.bicubic_upscale import BicubicUpscale
from sr_experiments.models.blocks.channel_offset import DIV2K_MEAN, ChannelOffset
from sr_experiments.models.blocks.clipped_relu import ClippedReLU, hidden_activation
from sr_experiments.models.blocks.collapsible import Collapsible, Reparameterised, ScaledConv2d
from sr_experiments.models.blocks.enlargement import enlargement_steps
from sr_experiments.models.blocks.factory import BLOCKS, make_conv
from sr_experiments.models.blocks.initialise import (
    GREY,
    initialise,
    start_as_nearest,
    start_quietly,
)
from sr_experiments.models.blocks.repeat_channels import RepeatChannels
from sr_experiments.models.blocks.weight_norm import WeightNormConv2d

LEAF_MODULES: tuple[type[nn.Module], ...] = (
    BicubicUpscale,
    ChannelOffset,
    ClippedReLU,
    Collapsible,
    RepeatChannels,
)

__all__ = [
    "BLOCKS",
    "DIV2K_MEAN",
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
    "WeightNormConv2d",
    "enlargement_steps",
    "hidden_activation",
    "initialise",
    "make_anchor",
    "make_conv",
    "start_as_nearest",
    "start_quietly",
]
