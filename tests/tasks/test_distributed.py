"""Two processes on halves of a batch compute what one computes on the whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CHILD = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from sr_experiments.losses import Adversarial, L1, gradient_penalty
from sr_experiments.models import SwiftSRGAN
from sr_experiments.models.discriminators import SRGANDiscriminator
from sr_experiments.tasks.distributed import average_gradients, share, synchronise_batch_norm

rank, count, file, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
if count > 1:
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=count)
torch.manual_seed(0)
generator = SwiftSRGAN(2, channels=4, num_blocks=2).double()
judge = SRGANDiscriminator(width=0.0625, pool=1, hidden=4).double()
low_res, high_res = torch.rand(4, 3, 8, 8).double(), torch.rand(4, 3, 16, 16).double()
for network in (generator, judge):
    synchronise_batch_norm(network)
low, high = share(low_res), share(high_res)
adversarial = Adversarial("relativistic_average")
prediction = generator(low)
loss = L1()(prediction, high) + adversarial.generator(judge(high).detach(), judge(prediction))
loss.backward()
average_gradients(generator.parameters())
judge.zero_grad()
high.requires_grad_()
real = judge(high)
terms = adversarial.discriminator(real, judge(prediction.detach()))
(sum(terms.values()) + gradient_penalty(real, high)).backward()
average_gradients(judge.parameters())
if rank == 0:
    found = {}
    for name, network in (("generator", generator), ("judge", judge)):
        found |= {f"{name}.{key}": value.grad for key, value in network.named_parameters()}
        found |= {f"{name}.{key}": value for key, value in network.named_buffers()}
    torch.save(found, out)
if count > 1:
    dist.destroy_process_group()
"""


def gradients(folder: Path, count: int) -> dict[str, torch.Tensor]:
    out = folder / f"{count}.pt"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(rank), str(count), str(folder / "meet"), str(out)],
            env=environment,
        )
        for rank in range(count)
    ]
    assert [child.wait(timeout=300) for child in children] == [0] * count
    found: dict[str, torch.Tensor] = torch.load(out, weights_only=True)
    return found


def test_two_processes_give_the_gradients_and_batch_norm_of_one(tmp_path: Path) -> None:
    one, two = (gradients(tmp_path, count) for count in (1, 2))
    assert one.keys() == two.keys()
    assert any("running_var" in name for name in one)
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-6, atol=1e-12), name
    assert max(value.abs().max() for name, value in one.items() if "judge" in name) > 1e-3


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from sr_experiments.errors import UserError
    from sr_experiments.tasks import distributed

    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(UserError, match=r"data.batch_size=3 cannot be divided among 2 processes"):
        distributed.share(torch.zeros(3, 1))
