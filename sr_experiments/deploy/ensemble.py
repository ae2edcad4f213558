"""Geometric self-ensemble: the mean over the eight symmetries of the square (EDSR, section 3.4)."""

import torch
from torch import Tensor

from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.scoring import predict_image


def predict_ensemble(runtime: Runtime, low_res: Tensor) -> Tensor:
    """Enlarge an image in each of its eight orientations and average, turned back.

    The average is of the eight 8-bit pictures: what a device makes that runs the network eight
    times, and at most half a level from the average of what it computes inside.

    Args:
        runtime: Any network.
        low_res: (3, H, W) uint8.

    Returns:
        (3, scale * H, scale * W) uint8, rounded half up.
    """
    total: Tensor | int = 0
    for mirrored in (False, True):
        for quarters in range(4):
            seen = low_res.flip(-1) if mirrored else low_res
            seen = seen.rot90(quarters, (-2, -1)).contiguous()
            made = predict_image(runtime, seen).rot90(-quarters, (-2, -1))
            total = total + (made.flip(-1) if mirrored else made).to(torch.int32)
    assert isinstance(total, Tensor)
    return ((total + 4) // 8).to(torch.uint8)
