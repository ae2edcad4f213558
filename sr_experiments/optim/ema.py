"""Exponential moving average of a network: usually better than any single step's weights."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sr_experiments.errors import UserError


class ExponentialMovingAverage(AveragedModel):
    """torch's ``AveragedModel`` with a decay, over parameters and buffers.

    The average is ``module``: in evaluation mode and without gradients, so that neither an
    optimiser nor DDP mistakes it for something to train. Its state dict resumes exactly.

    The decay rises to its value, ``min(decay, (1 + n) / (10 + n))`` after ``n`` updates, as
    TensorFlow's does: otherwise a short training would ship its random first weights.

    Args:
        model: What to average; copied.
        decay: Share of the average that one update keeps, in (0, 1).

    Raises:
        UserError: The decay is out of range.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise UserError(f"An average needs a decay between 0 and 1, not {decay}.")
        self.decay = decay
        super().__init__(model, multi_avg_fn=self._average, use_buffers=True)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "ExponentialMovingAverage":
        """Stay in evaluation mode, whatever the modules around do."""
        return super().train(False)

    def _average(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        count = int(updates)
        decay = min(self.decay, (1 + count) / (10 + count))
        blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        blend(averaged, current, updates)
