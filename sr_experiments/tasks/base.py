"""What every training procedure of a super-resolution network shares.

Batches are not drawn from a data loader's state: batch ``i`` is a pure function of the seed
and ``i``, and ``i`` is in the checkpoint. So a resumed run sees exactly the batches that it
would have seen.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.metrics import psnr_rgb, ssim_rgb
from sr_experiments.models import SRModel
from sr_experiments.optim import ExponentialMovingAverage

OptimizerFactory = Callable[..., torch.optim.Optimizer]
SchedulerFactory = Callable[..., torch.optim.lr_scheduler.LRScheduler]


class NonFiniteLossError(UserError):
    """A loss term became NaN or infinite; the last good checkpoint stays."""


class SuperResolutionTask(pl.LightningModule):
    """Validation, averaging of weights and the batch counter.

    Args:
        network: The network to train.
        data: Its data set.
        ema_decay: Decay per step of an exponential moving average of the weights, which is
            then what is validated and shipped; None ships the trained weights themselves.
        channels_last: Keep activations in NHWC memory order, which CPUs and tensor cores
            prefer.

    Attributes:
        iteration: Data batches trained on so far.
    """

    def __init__(
        self,
        network: SRModel,
        data: SRData,
        *,
        ema_decay: float | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise UserError(f"task.ema_decay={ema_decay} is not between 0 and 1")
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.average = ExponentialMovingAverage(network, ema_decay) if ema_decay else None
        self.data = data
        self.iteration = 0

    @property
    def shipped(self) -> SRModel:
        """The network that is validated, exported and shipped."""
        if self.average is None:
            return self.network
        assert isinstance(self.average.module, SRModel)
        return self.average.module

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge a batch, (N, 3, H, W) in [0, 1], with the network that is shipped."""
        prediction: Tensor = self.shipped(low_res.contiguous(memory_format=self.memory_format))
        return prediction

    def predict(self, low_res: Tensor) -> Tensor:
        """What the loss sees of a batch, (N, 3, H, W) in [0, 1]: the trained network's output."""
        prediction: Tensor = self.network(low_res)
        return prediction

    @abstractmethod
    def terms(self, low_res: Tensor, high_res: Tensor) -> dict[str, Tensor]:
        """What a step minimises the sum of, by name; preflight tries it on noise."""

    def train_dataloader(self) -> Iterable[int]:
        """One entry per step of an epoch; the batch itself is made in the training step."""
        return range(self.data.steps_per_epoch)

    def val_dataloader(self) -> Iterable[int]:
        """One entry per validation image."""
        return range(len(self.data.val_pairs()))

    def train_batch(self) -> tuple[Tensor, Tensor]:
        """The batch of the current iteration: (N, 3, h, w) and (N, 3, s*h, s*w) in [0, 1]."""
        low_res, high_res = self.data.train_batch(self.iteration)
        return (
            low_res.to(self.device).contiguous(memory_format=self.memory_format),
            high_res.to(self.device).contiguous(memory_format=self.memory_format),
        )

    def total_loss(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum of the named terms.

        Raises:
            NonFiniteLossError: Naming the term and the iteration.
        """
        for name, value in terms.items():
            if not math.isfinite(value.item()):
                raise NonFiniteLossError(
                    f"the loss term {name} became {value.item()} at iteration {self.iteration}; "
                    "the last checkpoint is kept. Lower optimizer.lr or the schedule's peak, or "
                    "set trainer.gradient_clip=1"
                )
        return torch.stack(list(terms.values())).sum()

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Score one validation image on its rounded 8-bit picture, RGB."""
        _, low_res, high_res = self.data.val_pairs()[index]
        prediction = self(to_float(low_res).to(self.device)[None])[0]
        picture = to_uint8(prediction).cpu()
        border = self.data.scale
        scores = {
            "val/psnr": psnr_rgb(picture, high_res, border),
            "val/ssim": ssim_rgb(picture, high_res, border),
        }
        for name, value in scores.items():
            self.log(
                name,
                value,
                on_epoch=True,
                batch_size=1,
                prog_bar=name == "val/psnr",
                sync_dist=True,
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the batch counter."""
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the batch counter."""
        self.iteration = int(checkpoint["iteration"])


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Parameters that a gradient may change."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
