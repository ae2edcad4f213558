"""Between 8-bit pixels and the [0, 1] floats that networks see."""

import torch
from torch import Tensor


def to_float(image: Tensor) -> Tensor:
    """8-bit pixels as float32 in [0, 1]; any shape.

    Example:
        >>> to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return image.to(torch.float32).div_(255)


def to_uint8(prediction: Tensor) -> Tensor:
    """A network's output as the 8-bit picture that is shown: clipped, rounded half up.

    Example:
        >>> to_uint8(torch.tensor([-0.1, 0.5, 2.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return prediction.float().mul(255).add(0.5).floor().clamp(0, 255).to(torch.uint8)
