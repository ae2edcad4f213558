"""A network that trains on a GPU is quantised there."""

import pytest
import torch

from sr_experiments.models import ABPN, FSRCNN, VDSR, SRModel
from sr_experiments.quantization import PostTraining, trace
from sr_experiments.quantization.graph import Conv


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [ABPN, FSRCNN, VDSR])
def test_graph_on_a_gpu_gives_the_scales_and_the_kernels_of_the_cpu(kind: type[SRModel]) -> None:
    torch.manual_seed(0)
    model = kind()
    images = torch.rand(2, 3, 16, 16)
    on_cpu = PostTraining().quantize(trace(model), images)
    wanted = [on_cpu.kernel(node) for node in on_cpu.graph.nodes if isinstance(node, Conv)]
    expected = on_cpu.run(images).detach()
    graph = trace(model.cuda())
    on_gpu = PostTraining().quantize(graph, images.cuda())
    kernels = [on_gpu.kernel(node) for node in on_gpu.graph.nodes if isinstance(node, Conv)]
    for mine, other in zip(wanted, kernels, strict=True):
        assert torch.equal(mine.integers()[0], other.integers()[0].cpu())
    assert float((on_gpu.run(images.cuda()).detach().cpu() - expected).abs().max()) < 0.05
