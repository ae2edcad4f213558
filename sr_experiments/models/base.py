"""What every network of the package is: a module that knows its scale and its limits."""

from typing import Any, ClassVar

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.blocks import ClippedReLU


class SRModel(nn.Module):
    """Base of all networks: ``forward(low_res) -> prediction``, any height and width.

    Class variables say what a network is fit for; ``reason`` says why where one is False.

    Args:
        scale: Enlargement, a whole number of at least 2.
        clip_output: Clip the prediction to [0, 1] inside the network, which costs an INT8 file
            nothing. False: linear, as most papers have it.

    Attributes:
        output_clip: The clip at the output, None where it is linear. Its input is what
            ``models.health`` looks at.
        collapsed: True for the deployable twin that ``collapse`` returns.
        fresh: True until trained weights are loaded.
        quantized: True once quantisation-aware training has moved the weights: without
            quantisation they are no FP32 network to compare with.
        ranges: Scales that it was trained with, as plain values (``quantization.description``).

    Shape:
        (N, 3, H, W) in [0, 1] to (N, 3, scale * H, scale * W).
    """

    trainable: ClassVar[bool] = True
    deployable: ClassVar[bool] = True
    batch_independent: ClassVar[bool] = True
    reason: ClassVar[str] = ""

    def __init__(self, scale: int, clip_output: bool = False) -> None:
        super().__init__()
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2:
            raise UserError(f"scale={scale} is not possible: use a whole number of at least 2.")
        self.scale = scale
        self.collapsed = False
        self.fresh = True
        self.quantized = False
        self.ranges: dict[str, Any] | None = None
        self.output_clip: ClippedReLU | None = ClippedReLU() if clip_output else None

    def clip(self, prediction: Tensor) -> Tensor:
        """The prediction, clipped to [0, 1] if the network was built so."""
        if self.output_clip is None:
            return prediction
        clipped: Tensor = self.output_clip(prediction)
        return clipped

    def after_step(self) -> None:
        """Restore what a step of the optimiser must not change; called after each."""


def count_parameters(model: nn.Module) -> int:
    """Number of trained values; constants such as EDSR's mean are not among them."""
    return sum(parameter.numel() for parameter in model.parameters())
