"""Optimisers, schedules and averages that torch lacks or does not have in this form."""

from sr_experiments.optim.ema import ExponentialMovingAverage
from sr_experiments.optim.nadabelief import NAdaBelief
from sr_experiments.optim.plateau import Plateau
from sr_experiments.optim.schedules import Constant, Cosine, Exponential, Step, Triangular

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "ExponentialMovingAverage",
    "NAdaBelief",
    "Plateau",
    "Step",
    "Triangular",
]
