"""What several processes do so that together they compute what one would.

Each takes its share of a batch, batch norm and the ranges of quantisation-aware training see the
whole of it, and gradients are averaged. Losses are means over pictures, so the mean of the shares
is that of the batch; what takes a logarithm of a batch (``loss=psnr``), or compares its pictures
with each other (the relativistic loss), sees the shares.

Gradients are averaged in one piece when a backward pass is over. Torch's own wrapper averages
while it runs, which is faster for large networks, but it expects a single pass of a single network
in which every parameter has a part. A GAN has two networks and several passes in a step, and
ranges that are learned freeze.
"""

from collections.abc import Iterable
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from sr_experiments.errors import UserError


def processes() -> int:
    """How many train together; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if processes() > 1:
        dist.barrier()


class OneOf(LightningEnvironment):
    """Tell Lightning which of the processes it is in, and to start none."""

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    def local_rank(self) -> int:
        """Among the processes of this machine."""
        return rank()

    def node_rank(self) -> int:
        """All are on one machine."""
        return 0


class AveragingStrategy(DDPStrategy):
    """Lightning's DDP without torch's wrapper: gradients are averaged after the backward pass."""

    @torch.no_grad()
    def configure_ddp(self) -> None:
        """Begin with the weights of the first process, whatever drew them."""
        assert self.model is not None
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            dist.broadcast(tensor.data, 0)

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average, unless the task does: it knows when all its passes are over."""
        task = self.lightning_module
        assert task is not None
        if task.automatic_optimization:
            average_gradients(task.parameters())


@torch.no_grad()
def widest(ends: Tensor) -> Tensor:
    """Ranges that hold those of all processes.

    Args:
        ends: (N, 2), minima and maxima.
    """
    if processes() == 1:
        return ends
    reach = ends * ends.new_tensor([-1.0, 1.0])
    dist.all_reduce(reach, op=dist.ReduceOp.MAX)
    return reach * ends.new_tensor([-1.0, 1.0])


def share(batch: Tensor) -> Tensor:
    """This process's part of a batch, (N / processes, ...).

    Raises:
        UserError: The batch cannot be divided.
    """
    count = processes()
    if count == 1:
        return batch
    if len(batch) % count:
        raise UserError(f"data.batch_size={len(batch)} cannot be divided among {count} processes")
    return batch.chunk(count)[rank()]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes."""
    count = processes()
    if count == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= count
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every batch norm of a network, while it trains, see the batch of all processes.

    torch's ``SyncBatchNorm`` runs on GPUs only. The layers stay ``nn.BatchNorm2d``, so folding
    and tracing know them.
    """
    if processes() == 1:
        return
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = partial(_normalised, module)  # type: ignore[method-assign]


def _normalised(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm with the statistics of all processes."""
    if not norm.training:
        return F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    moments = torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])
    mean, square = all_reduce(moments) / processes()  # type: ignore[no-untyped-call]
    variance = (square - mean.square()).clamp(min=0)
    count = processes() * x.numel() / x.shape[1]
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.detach(), norm.momentum)
        norm.running_var.lerp_(variance.detach() * count / (count - 1), norm.momentum)
    factor = norm.weight * torch.rsqrt(variance + norm.eps)
    offset = norm.bias - mean * factor
    normed: Tensor = values * factor.view(-1, 1, 1) + offset.view(-1, 1, 1)
    return normed.to(x.dtype)
