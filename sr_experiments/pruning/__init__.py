"""Channels that a network can do without: which there are, which go, and the network without."""

from sr_experiments.pruning.ranker import RANKERS_LR, ChannelRanking, Weights
from sr_experiments.pruning.surgery import Keep, pruned, pruned_twin
from sr_experiments.pruning.wiring import Conv, wiring

__all__ = [
    "RANKERS_LR",
    "ChannelRanking",
    "Conv",
    "Keep",
    "Weights",
    "pruned",
    "pruned_twin",
    "wiring",
]
