"""Weight clipping (Z6 at Mobile AI 2022, arXiv:2211.05910, 4.1).

TFLite's weights are symmetric: a kernel whose weights reach far to one side only, as SCSRN's
first one does, spends half of its integers on nothing. So every kernel is clamped to a band
around zero after each step of the optimiser, before the average of the weights sees it.

Neither the band nor its form is published; the three forms here are the candidates. A
re-parameterised block is clamped as the kernel that it folds to, by the smallest change of its
own weights that does it: the block's own weights say little of the kernel that ships.
"""

from typing import Any, Literal, get_args

import lightning.pytorch as pl
import torch
from torch import Tensor

from sr_experiments.errors import UserError
from sr_experiments.models.kernels import TrainedKernel, trained_kernels
from sr_experiments.tasks import SuperResolutionTask

Band = Literal["deviations", "absolute", "symmetric"]


class WeightClip(pl.Callback):
    """Keep the weights of every kernel within a symmetric band.

    Args:
        band: What ``bound`` counts in: ``deviations`` of the kernel's weights about zero
            (their root mean square), ``absolute`` values, or, for ``symmetric``, the less far
            reaching side of the kernel: 1 cuts the longer tail where the shorter ends. A kernel
            whose weights have one sign has no shorter tail, and stays.
        bound: Half the width of the band.

    Raises:
        UserError: An unknown band, or a bound that leaves no weights.
    """

    def __init__(self, band: Band = "deviations", bound: float = 4.0) -> None:
        if band not in get_args(Band):
            known = ", ".join(get_args(Band))
            raise UserError(f"callbacks.weight_clip.band={band} is unknown; choose {known}")
        if not bound > 0:
            raise UserError(f"callbacks.weight_clip.bound={bound} is not above 0")
        self.band = band
        self.bound = bound
        self.kernels: list[TrainedKernel] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the kernels: also those of an FP32 twin, which trains as the network does."""
        assert isinstance(pl_module, SuperResolutionTask)
        self.kernels = trained_kernels(pl_module.network)
        if pl_module.reference is not None and pl_module.reference.trains:
            self.kernels += trained_kernels(pl_module.reference.network)

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Clamp; Lightning calls callbacks before the task, which moves the average."""
        for kernel in self.kernels:
            weight = kernel.read()
            limit = self._limit(weight)
            if weight.abs().max() > limit:
                kernel.write(weight.clamp(-limit, limit))

    def _limit(self, weight: Tensor) -> float:
        if self.band == "absolute":
            return self.bound
        if self.band == "deviations":
            return self.bound * float(weight.square().mean().sqrt())
        shorter = min(-float(weight.min()), float(weight.max()))
        return self.bound * shorter if shorter > 0 else torch.inf
