"""Collects the nodes of a graph while the operators of a network are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, fx, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.shuffle import pixel_shuffle_to_dcr
from sr_experiments.quantization.graph import (
    Affine,
    Bounds,
    Clip,
    Conv,
    DepthToSpace,
    Gather,
    Kernel,
    Node,
)

IMAGE_CHANNELS = 3


class UnsupportedOperator(UserError):  # noqa: N818 - it reads as what it says
    """The targets cannot run an operator; the message names it and says what to use instead."""


# Parts of an operator's name, and what to use instead of such an operator.
_ADVICE = {
    ("upsample", "interpolate", "grid_sample"): (
        "use BicubicUpscale, or RepeatChannels before nn.PixelShuffle (nearest neighbour)"
    ),
    ("norm",): "use nn.BatchNorm2d after a convolution, which is folded into it, or none",
    ("pool", "mean", "attention", "softmax", "matmul", "linear", "einsum"): (
        "build from convolutions, additions and concatenations, whose INT8 kernels are fast"
    ),
    ("chunk", "split", "getitem", "narrow", "unbind"): (
        "use a convolution for each part, or one with groups"
    ),
    ("view", "reshape", "permute", "transpose", "flatten", "unshuffle"): (
        "use nn.PixelShuffle, the only change of layout that NPUs run well"
    ),
    ("pad",): "give the padding to the convolution, as zeros",
    ("getattr", "size", "shape"): "choose in the constructor what depends on the image's size",
    ("tanh", "sigmoid", "elu", "silu", "mish", "hardswish", "hardsigmoid", "softplus", "leaky"): (
        "use nn.ReLU, ClippedReLU or nn.PReLU"
    ),
}


class Reader:
    """Collects nodes; the methods add those that several operators become.

    Args:
        modules: Every module of the network by its path.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = modules
        self.nodes: dict[str, Node] = {}
        self._tensors: dict[fx.Node, str] = {}

    def bind(self, node: fx.Node, name: str) -> None:
        """Remember which node of the graph an operator's output is."""
        self._tensors[node] = name

    def refusal(self, node: fx.Node, detail: str = "") -> UnsupportedOperator:
        """The error for an operator: it names it, where it is, and what to use instead."""
        if node.op == "call_module":
            name = f"nn.{type(self.modules[str(node.target)]).__name__}"
            place = str(node.target)
        else:
            name = node.target if isinstance(node.target, str) else node.target.__name__
            place = next(reversed(node.meta.get("nn_module_stack") or {"": None})) or "forward"
        if not detail:
            detail = next(
                (
                    text
                    for parts, text in _ADVICE.items()
                    if any(part in name.lower() for part in parts)
                ),
                "use convolutions, ReLU, clips, PReLU, addition, concatenation and nn.PixelShuffle",
            )
        return UnsupportedOperator(f"{name} at {place} cannot run on the targets: {detail}")

    def put(self, node: Node) -> str:
        """Add a node and return its name."""
        self.nodes[node.name] = node
        return node.name

    def name(self, node: fx.Node) -> str:
        """Give a name that is free: the module's path, or what torch.fx calls the operator."""
        wanted = str(node.target) if node.op == "call_module" else node.name
        return wanted if wanted not in self.nodes else node.name

    def tensor(self, node: fx.Node, value: object) -> str:
        """Name of the graph's node behind an operand of ``node``."""
        if isinstance(value, fx.Node) and value in self._tensors:
            return self._tensors[value]
        raise self.refusal(
            node, f"its operand {value} is no feature map; use ChannelOffset for constants"
        )

    def channels(self, name: str) -> int:
        """Channels of a node's tensor."""
        return self.nodes[name].channels

    def unary(self, node: fx.Node) -> tuple[str, int]:
        """Name and channels of the first operand."""
        name = self.tensor(node, node.args[0])
        return name, self.channels(name)

    def conv(
        self,
        node: fx.Node,
        kernel: Kernel,
        padding: tuple[int, int, int, int] | None = None,
        groups: int = 1,
        stride: int = 1,
        name: str = "",
    ) -> str:
        """Add a convolution; without ``padding`` its output is as large as its input."""
        source, channels = self.unary(node)
        channels_out, channels_in, height, width = kernel()[0].shape
        if channels_in * groups != channels:
            raise self.refusal(
                node,
                f"it reads {channels_in * groups} channels but gets {channels} (networks here "
                f"read and write RGB)",
            )
        if padding is None:
            padding = ((height - 1) // 2, height // 2, (width - 1) // 2, width // 2)
        return self.put(
            Conv(
                name=name or self.name(node),
                inputs=(source,),
                channels=channels_out,
                kernel=kernel,
                groups=groups,
                stride=stride,
                padding=padding,
            )
        )

    def clip(self, node: fx.Node, bounds: Bounds) -> str:
        """Add a clip."""
        source, channels = self.unary(node)
        name = self.name(node)
        return self.put(Clip(name=name, inputs=(source,), channels=channels, bounds=bounds))

    def affine(
        self, node: fx.Node, source: str, factor: Callable[[], Tensor], offset: Callable[[], Tensor]
    ) -> str:
        """Add a factor and an offset for each channel."""
        return self.put(
            Affine(
                name=self.name(node),
                inputs=(source,),
                channels=self.channels(source),
                factor=factor,
                offset=offset,
            )
        )

    def shuffle(self, node: fx.Node, block: int) -> str:
        """Add a pixel shuffle: a reordering, then TensorFlow's depth-to-space."""
        source, channels = self.unary(node)
        name = self.name(node)
        colours, rest = divmod(channels, block * block)
        if rest:
            raise self.refusal(node, f"{channels} channels are no multiple of {block * block}")
        index = tuple(pixel_shuffle_to_dcr(colours, block).tolist())
        order = Gather(name=f"{name}.order", inputs=(source,), channels=channels, index=index)
        self.put(order)
        return self.put(
            DepthToSpace(name=name, inputs=(order.name,), channels=colours, block=block)
        )
