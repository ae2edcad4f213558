"""Training criteria: each a function and the module that holds its options."""

from sr_experiments.losses.charbonnier import Charbonnier, charbonnier
from sr_experiments.losses.l1 import L1, l1
from sr_experiments.losses.mse import MSE, mse

__all__ = ["L1", "MSE", "Charbonnier", "charbonnier", "l1", "mse"]
