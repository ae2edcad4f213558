"""Penalties on a network's own weights: each ``(network) -> scalar``."""

from sr_experiments.regularizers.kernel_range import KernelRange

__all__ = ["KernelRange"]
