"""What becomes of a network: the same function, fewer operators, or a refusal with advice."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import ABPN, EDSR, ESPCN, FSRCNN, VDSR, XLSR, Bicubic, SRModel
from sr_experiments.models.blocks import ClippedReLU, Collapsible, RepeatChannels
from sr_experiments.quantization import Graph, UnsupportedOperator, trace
from sr_experiments.quantization.graph import Conv, Gather, PReLU

NETWORKS: list[Callable[[], SRModel]] = [
    XLSR,
    lambda: XLSR(scale=4, depthwise=True, clip_hidden="learned"),
    lambda: ESPCN(clip_hidden=0.5),
    FSRCNN,
    lambda: FSRCNN(scale=2, clip_output=True),
    lambda: FSRCNN(scale=4),
    ABPN,
    lambda: VDSR(num_blocks=2, clip_output=True),
    lambda: EDSR(num_blocks=2, res_scale=0.1),
    lambda: EDSR(scale=4, num_blocks=1),
    Bicubic,
]


def of(
    build: Callable[[SRModel], None], forward: Callable[[Any, Tensor], Tensor], scale: int = 3
) -> SRModel:
    """A network of what ``build`` gives it, that computes ``forward``."""

    class Local(SRModel):
        def __init__(self) -> None:
            super().__init__(scale)
            build(self)

        def forward(self, low_res: Tensor) -> Tensor:
            return forward(self, low_res)

    torch.manual_seed(0)
    return Local()


def kinds(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.nodes]


def largest_difference(model: SRModel, graph: Graph) -> float:
    image = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    with torch.no_grad():
        return float((graph.run(image) - model(image)).abs().max())


@pytest.mark.parametrize("build", NETWORKS)
def test_graph_computes_what_the_network_does(build: Callable[[], SRModel]) -> None:
    torch.manual_seed(0)
    model = build().double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    assert largest_difference(model, trace(model)) < 1e-9


def test_xlsr_is_nothing_but_convolutions_a_concatenation_and_depth_to_space() -> None:
    assert kinds(trace(XLSR())) == ["Input", *["Conv"] * 9, "Concat", *["Conv"] * 2, "DepthToSpace"]


def test_anchor_becomes_the_picture_nine_times_in_a_row() -> None:
    (anchor,) = [node for node in trace(ABPN()).nodes if isinstance(node, Gather)]
    assert anchor.inputs == ("input",)
    assert anchor.index == (0, 1, 2) * 9


def test_new_order_of_channels_reaches_a_convolution_behind_prelu_and_clip() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 27, 3, padding=1)
        self.act = nn.PReLU(27)
        nn.init.uniform_(self.act.weight, 0.1, 0.9)

    def forward(self: Any, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.act(self.conv(x)), 3).clamp(max=0.5)

    model = of(build, forward).double()
    graph = trace(model)
    assert kinds(graph) == ["Input", "Conv", "PReLU", "Clip", "DepthToSpace"]
    assert largest_difference(model, graph) < 1e-12


def test_order_of_channels_stays_where_others_read_the_convolution() -> None:
    def build(self: Any) -> None:
        self.first = nn.Conv2d(3, 27, 3, padding=1)
        self.second = nn.Conv2d(27, 27, 1)

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.pixel_shuffle(x, 3) + F.pixel_shuffle(self.second(x), 3)

    model = of(build, forward).double()
    graph = trace(model)
    assert kinds(graph).count("Gather") == 1
    assert largest_difference(model, graph) < 1e-12


def test_batch_norm_becomes_part_of_the_convolution_before_it() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 27, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(27)
        self.relu = nn.ReLU()
        self.shuffle = nn.PixelShuffle(3)

    model = of(build, lambda self, x: self.shuffle(self.relu(self.norm(self.conv(x)))))
    nn.init.normal_(model.norm.weight)  # type: ignore[arg-type, union-attr]
    nn.init.normal_(model.norm.bias)  # type: ignore[arg-type, union-attr]
    for _ in range(3):
        model(torch.rand(2, 3, 8, 8))
    graph = trace(model.double())  # still in training mode: the graph is what ships
    assert kinds(graph) == ["Input", "Conv", "DepthToSpace"]
    assert largest_difference(model.eval(), graph) < 1e-9


def test_constants_become_part_of_the_convolution_before_them() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self: Any, x: Tensor) -> Tensor:
        return F.pixel_shuffle(1 + (self.conv(x) * 0.1 - 0.3) / 2, 2)

    model = of(build, forward, scale=2).double()
    graph = trace(model)
    assert kinds(graph) == ["Input", "Conv", "DepthToSpace"]
    assert largest_difference(model, graph) < 1e-12


def test_block_that_collapses_is_one_convolution_whose_parts_get_the_gradient() -> None:
    class TwoInOne(Collapsible):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 12, 3, padding=1)
            self.narrow = nn.Conv2d(3, 12, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.wide(x) + self.narrow(x)
            return y

        def folded(self) -> tuple[Tensor, Tensor]:
            assert self.wide.bias is not None
            assert self.narrow.bias is not None
            weight = self.wide.weight + F.pad(self.narrow.weight, (1, 1, 1, 1))
            return weight, self.wide.bias + self.narrow.bias

    def build(self: Any) -> None:
        self.block = TwoInOne()

    model = of(build, lambda self, x: F.pixel_shuffle(self.block(x), 2), scale=2).double()
    graph = trace(model)
    assert kinds(graph) == ["Input", "Conv", "DepthToSpace"]
    assert largest_difference(model, graph) < 1e-12
    graph.run(torch.rand(1, 3, 5, 5, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_graph_follows_weights_slopes_and_bounds_that_change_later() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.act = nn.PReLU()
        self.bound = ClippedReLU(0.3, learned=True)

    def forward(self: Any, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.bound(self.act(self.conv(x))), 2)

    model = of(build, forward, scale=2).double()
    graph = trace(model)
    before = graph.run(torch.ones(1, 3, 5, 5, dtype=torch.float64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert largest_difference(model, graph) < 1e-12
    after = graph.run(torch.ones(1, 3, 5, 5, dtype=torch.float64))
    assert float((after - before).detach().abs().max()) > 0.01


def test_learned_bound_gets_the_gradient_of_what_it_cuts() -> None:
    model = XLSR(clip_hidden="learned").double()
    bounds = [m.bound for m in model.modules() if isinstance(m, ClippedReLU) and m.state_dict()]
    with torch.no_grad():
        for bound in bounds:
            bound.fill_(0.01)  # type: ignore[union-attr]
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    gradients = []
    for network in (model, trace(model).run):
        model.zero_grad()
        network(image).sum().backward()
        gradients.append(torch.stack([bound.grad.clone() for bound in bounds]))  # type: ignore[union-attr]
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)


def test_dropout_and_identity_leave_no_trace() -> None:
    def build(self: Any) -> None:
        self.body = nn.Sequential(nn.Identity(), nn.Conv2d(3, 12, 1), nn.Dropout(0.5))

    model = of(build, lambda self, x: F.pixel_shuffle(self.body(x), 2), scale=2)
    assert kinds(trace(model)) == ["Input", "Conv", "DepthToSpace"]


def test_conv_called_twice_is_two_nodes() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Conv2d(3, 12, 1)

    def forward(self: Any, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.last(self.conv(self.conv(x))), 2)

    model = of(build, forward, scale=2).double()
    graph = trace(model)
    assert sum(isinstance(node, Conv) for node in graph.nodes) == 3
    assert largest_difference(model, graph) < 1e-12


def upscaled(module: nn.Module) -> SRModel:
    """A network with one module that may be refused, at ``part``."""

    def build(self: Any) -> None:
        self.part = module
        self.tail = nn.Conv2d(3, 27, 1)

    return of(build, lambda self, x: F.pixel_shuffle(self.tail(self.part(x)), 3))


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        (nn.Mish(), "nn.Mish", "nn.SiLU"),
        (nn.ELU(0.5), "nn.ELU", "alpha=1"),
        (nn.GELU(approximate="tanh"), "nn.GELU", "use none"),
        (nn.Softmax2d(), "nn.Softmax2d", "products"),
        (nn.Upsample(size=(9, 9)), "nn.Upsample", "whole scale_factor"),
        (nn.Upsample(scale_factor=1.5), "nn.Upsample", "whole scale_factor"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "nn.Upsample", "BicubicUpscale"),
        (
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            "nn.Upsample",
            "neither align_corners",
        ),
        (nn.InstanceNorm2d(3), "nn.InstanceNorm2d", "BatchNorm2d"),
        (nn.LPPool2d(2, 2), "nn.LPPool2d", "nn.AvgPool2d"),
        (nn.AvgPool2d(2, ceil_mode=True), "nn.AvgPool2d", "ceil_mode"),
        (nn.AdaptiveAvgPool2d(6), "nn.AdaptiveAvgPool2d", "one pixel"),
        (nn.MaxPool2d(3, 2, 1), "nn.MaxPool2d", "without padding"),
        (nn.PixelUnshuffle(1), "nn.PixelUnshuffle", "PixelShuffle"),
        (nn.ReplicationPad2d(2), "nn.ReplicationPad2d", "reflect more"),
        (nn.ZeroPad2d(-1), "nn.ZeroPad2d", "can be added"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), "nn.Conv2d", "reflect"),
        (nn.Conv2d(3, 3, 3, dilation=(1, 2)), "nn.Conv2d", "same for both"),
        (nn.Conv2d(3, 3, 3, stride=(1, 2)), "nn.Conv2d", "same for both"),
        (nn.Conv2d(1, 3, 1), "nn.Conv2d", "reads 1 channels but gets 3"),
        (nn.ConvTranspose2d(3, 3, 4, 2, 1, groups=3), "nn.ConvTranspose2d", "groups"),
        (nn.BatchNorm2d(3, track_running_stats=False), "nn.BatchNorm2d", "running statistics"),
        (nn.PixelShuffle(2), "nn.PixelShuffle", "no multiple"),
    ],
)
def test_unsupported_module_is_named_with_its_path_and_what_to_use(
    module: nn.Module, name: str, advice: str
) -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        trace(upscaled(module))
    message = str(caught.value)
    assert f"{name} at part cannot run" in message
    assert advice in message


class Wrapped(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "name", "advice"),
    [
        (torch.exp, "exp at part", "common activations"),
        (lambda x: F.interpolate(x, size=(9, 9)), "interpolate at part", "whole scale_factor"),
        (lambda x: x.mean(1, keepdim=True), "mean at part", "height and width"),
        (lambda x: x.mean((2, 3)), "mean at part", "keepdim=True"),
        (lambda x: x.std((2, 3), keepdim=True), "std at part", "correction=0"),
        (lambda x: x.unbind(1)[0], "unbind at part", "torch.split"),
        (lambda x: x[:, :, 1:-1], "getitem at part", "x[:, a:b]"),
        (lambda x: x[:, 0], "getitem at part", "x[:, a:b]"),
        (lambda x: x.chunk(3, 2)[0], "chunk at part", "dim=1"),
        (lambda x: x.split([1, 1], 1)[0], "split at part", "not the 3 channels"),
        (lambda x: x.chunk(3, 1) + x, "add at part", "is a list of tensors"),
        (lambda x: F.pad(x, (1, 1, 1, 1), value=0.5), "pad at part", "only zeros"),
        (lambda x: F.pad(x, (1, 1), mode="circular"), "pad at part", "reflect"),
        (lambda x: x / x, "truediv at part", "no INT8 division"),
        (lambda x: x**3, "pow at part", "2 and 0.5"),
        (lambda x: torch.add(x, x, alpha=2), "add at part", "alpha"),
        (lambda x: x * x[:, :1], "mul at part", "RepeatChannels"),
        (lambda x: x.view(x.shape), "getattr at part", "constructor"),
        (lambda x: torch.cat([x, x], 2), "cat at part", "dim=1"),
        (lambda x: x.repeat_interleave(2, 2), "repeat_interleave at part", "dim=1"),
        (lambda x: x + torch.ones(2, 1, 1), "add at part", "(1, 3, 1, 1)"),
        (lambda x: x.clamp(min=x), "clamp at part", "no number"),
    ],
)
def test_unsupported_function_is_named_with_its_place_and_what_to_use(
    function: Callable[[Tensor], Tensor], name: str, advice: str
) -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        trace(upscaled(Wrapped(function)))
    message = str(caught.value)
    assert f"{name} cannot run" in message
    assert advice in message


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: torch.cat([*x.chunk(3, 1)], 1),  # a list asks how long the proxy is
        lambda x: nn.ReLU()(x),  # a layer that forward makes
    ],
)
def test_wiring_that_cannot_be_seen_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    model = upscaled(Wrapped(function))
    with pytest.raises(UnsupportedOperator, match="must not depend"):
        trace(model)


def test_output_of_another_scale_or_without_colours_is_refused() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 12, 1)

    with pytest.raises(UnsupportedOperator, match="2 times as large"):
        trace(of(build, lambda self, x: F.pixel_shuffle(self.conv(x), 2)))
    with pytest.raises(UnsupportedOperator, match="makes 12 channels"):
        trace(of(build, lambda self, x: self.conv(x)))


def test_sizes_that_do_not_meet_are_refused() -> None:
    def build(self: Any) -> None:
        self.conv = nn.Conv2d(3, 27, 1)

    def forward(self: Any, x: Tensor) -> Tensor:
        return x + F.pixel_shuffle(self.conv(x), 3)

    with pytest.raises(UserError, match="joins tensors of different sizes"):
        trace(of(build, forward))


def test_mean_of_the_picture_cannot_be_enlarged() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x.mean((2, 3), keepdim=True).repeat_interleave(9, 1), 3)

    with pytest.raises(UserError, match="gets a single pixel"):
        trace(of(lambda self: None, forward))


def test_nearest_neighbour_keeps_the_order_pytorch_gives_it() -> None:
    def build(self: Any) -> None:
        self.repeat = RepeatChannels(9)

    model = of(build, lambda self, x: F.pixel_shuffle(self.repeat(x), 3))
    image = torch.rand(1, 3, 4, 5)
    assert torch.equal(trace(model).run(image), F.interpolate(image, scale_factor=3))


def test_slopes_are_one_for_each_channel() -> None:
    slopes = [node.slope() for node in trace(FSRCNN()).nodes if isinstance(node, PReLU)]
    assert [len(slope) for slope in slopes] == [56, 12, 12, 12, 12, 12, 56]


@pytest.mark.parametrize(("kernel_size", "convs"), [(3, 2), (5, 2), (7, 1), (9, 1)])
def test_a_large_depthwise_kernel_joins_the_pointwise_one_behind_it(
    kernel_size: int, convs: int
) -> None:
    def build(model: SRModel) -> None:
        model.depthwise = nn.Conv2d(3, 3, kernel_size, padding=kernel_size // 2, groups=3)
        model.across = nn.Conv2d(3, 12, 1)
        model.shuffle = nn.PixelShuffle(2)

    model = of(build, lambda m, x: m.shuffle(m.across(m.depthwise(x)).relu()), 2).double()
    graph = trace(model)
    assert kinds(graph).count("Conv") == convs
    assert largest_difference(model, graph) < 1e-12


def test_a_large_depthwise_kernel_stays_where_another_operator_comes_between() -> None:
    def build(model: SRModel) -> None:
        model.depthwise = nn.Conv2d(3, 3, 9, padding=4, groups=3)
        model.across = nn.Conv2d(3, 12, 1)
        model.shuffle = nn.PixelShuffle(2)

    clipped = of(build, lambda m, x: m.shuffle(m.across(m.depthwise(x).relu())), 2)
    assert kinds(trace(clipped)).count("Conv") == 2
    shared = of(
        build,
        lambda m, x: m.shuffle(m.across(m.depthwise(x)) + m.across(m.depthwise(x).relu())),
        2,
    ).double()
    assert largest_difference(shared, trace(shared)) < 1e-12
