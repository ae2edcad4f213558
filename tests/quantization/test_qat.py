"""Training on the INT8 grid: gradients, ranges, and that what trains is what ships."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from skimage.data import chelsea
from torch import Tensor, nn

from sr_experiments.deploy.parity import compare
from sr_experiments.deploy.runtimes import LiteRTRuntime, to_uint8
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, ESPCN, FSRCNN, XLSR, SRModel
from sr_experiments.models.blocks import Collapsible
from sr_experiments.quantization import (
    Percentile,
    PostTraining,
    QuantizationAware,
    QuantizedGraph,
    trace,
)
from sr_experiments.quantization.graph import Conv
from sr_experiments.quantization.params import UNIT
from sr_experiments.quantization.steps import stepped


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def lively(model: SRModel) -> SRModel:
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model


def train(model: SRModel, mode: QuantizationAware, images: Tensor, steps: int = 8) -> Any:
    """A few steps towards a grey picture; the ranges freeze as the mode says."""
    quantizer = mode.start(trace(model), images)
    parameters = [*model.parameters(), *quantizer.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    for step in range(steps):
        optimizer.zero_grad()
        loss = (quantizer.run(images) - 0.5).square().mean()
        penalty = quantizer.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        quantizer.advance((step + 1) / steps)
    return quantizer


def test_gradient_of_a_learned_step_is_that_of_lsq() -> None:
    # Step 0.5, zero point 0, levels -2 to 3: -1.7 and 2.1 are clipped.
    x = torch.tensor([-1.7, -0.2, 0.6, 2.1], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    y = stepped(x, step, 0, -2, 3)
    assert y.tolist() == [-1.0, 0.0, 0.5, 1.5]
    y.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 10.0, 100.0, 0.0]
    # -2, round(-0.4) + 0.4 = 0.4, round(1.2) - 1.2 = -0.2, 3; times 1 / sqrt(4 * 3).
    expected = (-2 * 1 + 0.4 * 10 - 0.2 * 100 + 3 * 1000) / 12**0.5
    assert step.grad is not None
    assert step.grad.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_of_learned_steps_agree_with_torchs_own_kernel() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, 4, 3, 3, generator=generator)
    weights = torch.randn(5, 4, 3, 3, generator=generator)
    for shape in ((), (5,)):
        step = torch.full(shape, 0.013).requires_grad_()
        (stepped(x, step, 7, -128, 127) * weights).sum().backward()
        other = torch.full(shape or (1,), 0.013).requires_grad_()
        zero_point = torch.full(shape or (1,), 7.0)
        factor = (x.numel() / max(1, len(other)) * 127) ** -0.5
        if shape:
            theirs = torch._fake_quantize_learnable_per_channel_affine(
                x, other, zero_point, 0, -128, 127, factor
            )
        else:
            theirs = torch._fake_quantize_learnable_per_tensor_affine(
                x, other, zero_point, -128, 127, factor
            )
        (theirs * weights).sum().backward()
        assert step.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(step.grad.view(-1), other.grad, rtol=1e-4, atol=1e-5)


def test_moving_average_is_tensorflows(images: Tensor) -> None:
    model = lively(ESPCN())
    quantizer = QuantizationAware(decay=0.75).start(trace(model), images[:1] * 0.2)
    values = {
        index: {node.name: tensor.detach() for node, tensor in quantizer.graph.values(batch)}
        for index, batch in enumerate((images[:1] * 0.2, images, images))
    }
    first = next(node.name for node in quantizer.graph.nodes if isinstance(node, Conv))
    before = quantizer.quantized().activations[first]
    quantizer.run(images)
    # The first layer reads the exact picture; only its kernel is rounded: 1 %.
    start, batch = (float(values[index][first].max()) for index in (0, 1))
    assert before.scale * 255 == pytest.approx(start, rel=1e-6)
    assert quantizer.quantized().activations[first].scale * 255 == pytest.approx(
        start - (start - batch) * 0.25, rel=0.01
    )
    quantizer.run(images)
    assert quantizer.quantized().activations[first].scale * 255 == pytest.approx(
        0.75 * (0.75 * start + 0.25 * batch) + 0.25 * batch, rel=0.01
    )


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_ranges_stop_where_they_are_told_to(ranges: Any, images: Tensor) -> None:
    def trained(*shares: float, freeze_at: float = 0.5) -> Any:
        mode = QuantizationAware(ranges=ranges, decay=0.5, freeze_at=freeze_at)
        quantizer = mode.start(trace(lively(XLSR())), images)
        optimizer = torch.optim.SGD(quantizer.parameters(), 0.1) if ranges == "learned" else None
        for share in shares:
            quantizer.advance(share)
            quantizer.run(images * 0.5).square().sum().backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
        return quantizer.quantized()

    started, moved, stopped = trained(), trained(0.3, 0.49), trained(0.3, 0.5, 0.2)
    assert started.activations != moved.activations
    assert stopped.activations == trained(0.3).activations
    assert trained(0.3, 1.0, freeze_at=1).activations == moved.activations  # never


def test_evaluation_leaves_the_ranges_alone(images: Tensor) -> None:
    quantizer = QuantizationAware(decay=0.5).start(trace(lively(XLSR())), images).eval()
    before = quantizer.quantized().activations
    quantizer.run(images * 0.1)
    assert quantizer.quantized().activations == before


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_training_on_the_grid_starts_as_post_training_quantisation(
    ranges: Any, images: Tensor
) -> None:
    graph = trace(lively(FSRCNN()))
    wanted = PostTraining().quantize(graph, images)
    quantizer = QuantizationAware(ranges=ranges).start(graph, images).eval()
    assert dict(quantizer.quantized().activations) == dict(wanted.activations)
    with torch.no_grad():
        assert torch.equal(quantizer.run(images), wanted.run(images))
    assert int8_model(quantizer.quantized()) == int8_model(wanted)


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", [XLSR, ABPN, FSRCNN])
def test_what_trains_is_what_the_file_computes(
    kind: type[SRModel], per_channel: bool, ranges: Any
) -> None:
    photo = torch.from_numpy(chelsea()[100:148, 120:176].copy())[None]
    images = photo.permute(0, 3, 1, 2) / 255
    mode = QuantizationAware(per_channel=per_channel, ranges=ranges, decay=0.9)
    quantizer = train(lively(kind()), mode, images).eval()
    made = to_uint8(LiteRTRuntime(int8_model(quantizer.quantized())).predict(photo.numpy()))
    with torch.no_grad():
        prediction = quantizer.run(images).permute(0, 2, 3, 1)
    parity = compare(made, to_uint8((prediction * 255).numpy()))
    assert parity.within_one >= 0.999
    assert parity.equal >= 0.97
    with torch.no_grad():
        taught = quantizer.train().run(images).permute(0, 2, 3, 1)
    # Training rounds a PReLU once, the kernel each of its factors: two levels apart at most.
    parity = compare(to_uint8((taught * 255).numpy()), made)
    assert parity.within_one >= (0.97 if kind is FSRCNN else 0.999)
    assert parity.largest <= 2


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_scales_in_the_file_are_the_trained_ones_bit_for_bit(
    ranges: Any, per_channel: bool, images: Tensor
) -> None:
    mode = QuantizationAware(per_channel=per_channel, ranges=ranges, decay=0.9)
    quantizer = train(lively(XLSR()), mode, images)
    quantized = quantizer.quantized()
    (subgraph,) = schema.ModelT.InitFromPackedBuf(int8_model(quantized), 0).subgraphs
    written: dict[int, set[bytes]] = {}
    for tensor in subgraph.tensors:
        if tensor.quantization is not None:
            written.setdefault(tensor.type, set()).add(tensor.quantization.scale.tobytes())
    for params in quantized.activations.values():
        assert np.float32(params.scale).tobytes() in written[schema.TensorType.INT8]
    convs = [node for node in quantized.graph.nodes if isinstance(node, Conv)]
    for node in convs:
        scales = quantizer.ranges.kernel_scales().get(node.name)
        if scales is None:
            scales = node.kernel()[0].abs().amax((1, 2, 3)) / 127
            scales = scales if per_channel else scales.max()[None]
        scales = scales.detach() if per_channel else scales[:1].detach()
        assert scales.numpy().tobytes() in written[schema.TensorType.INT8], node.name
    # Training moved them all.
    before = PostTraining(per_channel=per_channel).quantize(trace(lively(XLSR())), images)
    for name, params in quantized.activations.items():
        fixed = name == "input" or params == UNIT
        assert (params == before.activations[name]) == fixed, name


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
def test_a_checkpoint_keeps_the_ranges(ranges: Any, images: Tensor) -> None:
    mode = QuantizationAware(ranges=ranges, decay=0.5)
    model = lively(XLSR())
    quantizer = train(model, mode, images)
    other = mode.start(trace(model), images * 0.3)
    assert other.quantized().activations != quantizer.quantized().activations
    other.load_state_dict(quantizer.state_dict())
    assert other.quantized().activations == quantizer.quantized().activations
    assert int8_model(other.quantized()) == int8_model(quantizer.quantized())
    # Frozen ranges stay frozen.
    other.run(images * 0.5).sum().backward()
    assert other.quantized().activations == quantizer.quantized().activations


def test_folded_kernels_train_their_blocks_and_ship_folded(images: Tensor) -> None:
    model = ABPN(block="ecb", scale=3)
    blocks = [module for module in model.modules() if isinstance(module, Collapsible)]
    assert blocks
    quantizer = QuantizationAware().start(trace(model), images)
    (quantizer.run(images) - 0.5).square().mean().backward()
    for block in blocks:
        assert all(p.grad is not None and p.grad.any() for p in block.parameters())
    convs = {node.name: node for node in quantizer.graph.nodes if isinstance(node, Conv)}
    name, block = next(
        (name, module) for name, module in model.named_modules() if isinstance(module, Collapsible)
    )
    weight = block.folded()[0]
    kernel = quantizer.quantized().kernel(convs[name])
    error = (kernel.weight - weight).abs().amax((1, 2, 3))
    assert bool((error <= kernel.scales * 0.5001).all())


def test_the_average_of_the_weights_ships_with_the_trained_ranges(images: Tensor) -> None:
    model = lively(XLSR())
    average = deepcopy(model)
    quantizer = train(model, QuantizationAware(decay=0.5), images)
    own, shipped = quantizer.quantized(), quantizer.quantized(trace(average))
    assert own.activations == shipped.activations
    wanted = quantizer.quantized(trace(deepcopy(average)))
    assert int8_model(shipped) == int8_model(wanted) != int8_model(own)


def test_calibration_loss_is_the_distance_that_rounding_made(images: Tensor) -> None:
    model = lively(ESPCN())
    graph = trace(model)
    assert QuantizationAware().start(graph, images).penalty() is None
    quantizer = QuantizationAware(sqcl=0.3).start(graph, images)
    quantized = quantizer.quantized()
    expected = 0.0
    with torch.no_grad():
        quantizer.run(images)
        rounded = {node.name: x for node, x in graph_values(quantized, images)}
        for node in quantized.graph.nodes:
            if isinstance(node, Conv):
                kernel = quantized.kernel(node)
                expected += float((kernel.weight - node.kernel()[0]).abs().mean())
                y = node.convolve(rounded[node.inputs[0]], kernel.weight, kernel.bias)
                before = node.bounds.apply(y)
                expected += float((before - rounded[node.name]).abs().mean())
        expected += float((images - rounded["input"]).abs().mean())
    penalty = quantizer.penalty()
    assert penalty is not None
    assert float(penalty) == pytest.approx(0.3 * expected, rel=1e-4)


def graph_values(quantized: QuantizedGraph, images: Tensor) -> Any:
    return quantized.graph.execute(images, quantized.compute)


def test_calibration_loss_pulls_clipped_values_into_the_range(images: Tensor) -> None:
    model = lively(ESPCN())
    quantizer = QuantizationAware(sqcl=0.3, observer=Percentile(90.0)).start(trace(model), images)

    def distance() -> Tensor:
        quantizer.run(images)
        penalty = quantizer.penalty()
        assert penalty is not None
        return penalty

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = distance().detach()
    for _ in range(20):
        optimizer.zero_grad()
        distance().backward()
        optimizer.step()
    assert float(distance().detach()) < 0.8 * float(before)


def test_a_fixed_output_has_a_pictures_levels_whatever_it_holds(images: Tensor) -> None:
    # Antins_cv: a linear output that overshoots is clipped to the pixel values.
    model = lively(ESPCN())
    graph = trace(model)
    assert PostTraining().quantize(graph, images).activations[graph.output] != UNIT
    assert PostTraining(fixed_output=True).quantize(graph, images).activations[graph.output] == UNIT
    quantizer = train(model, QuantizationAware(fixed_output=True, decay=0.5), images)
    assert quantizer.quantized().activations[graph.output] == UNIT
    (subgraph,) = schema.ModelT.InitFromPackedBuf(int8_model(quantizer.quantized()), 0).subgraphs
    written = subgraph.tensors[subgraph.outputs[0]].quantization
    assert written.scale.item() == pytest.approx(1 / 255)
    assert written.zeroPoint.item() == 0  # of uint8; -128 of int8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": "guessed"}, "quantization.ranges=guessed"),
        ({"decay": 1.0}, "quantization.decay=1"),
        ({"freeze_at": 1.5}, "quantization.freeze_at=1.5"),
        ({"sqcl": -1.0}, "quantization.sqcl=-1"),
        ({"observer": "median"}, "quantization.observer=median"),
    ],
)
def test_impossible_settings_are_refused_when_they_are_made(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        QuantizationAware(**options)
