"""What several processes do so that together they compute what one would.

Each takes its share of a batch, batch norm sees the whole of it, and gradients are averaged. A GAN
has two networks and several backward passes in a step; averaging when a pass is over is simpler
than DDP's hooks, which expect one, and as exact.
"""

from collections.abc import Iterable
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from sr_experiments.errors import UserError


def processes() -> int:
    """How many train together; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


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
    return batch.chunk(count)[dist.get_rank()]


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
