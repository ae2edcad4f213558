"""Collects the nodes of a graph while the operators of a network are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
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
    Mean,
    Node,
    Pad,
)

IMAGE_CHANNELS = 3

Result = str | tuple[str, ...]
"""Name of the tensor that an operator makes, or names of its parts."""

Constant = Callable[[], Tensor]
"""Gives a constant as it is now, a scalar or ``(C,)``."""


class UnsupportedOperator(UserError):  # noqa: N818 - it reads as what it says
    """The targets cannot run an operator; the message names it and says what to use instead."""


# Parts of an operator's name, and what to use instead of such an operator.
_ADVICE = {
    ("upsample", "interpolate", "grid_sample"): (
        "use nn.Upsample with a whole scale_factor, or BicubicUpscale"
    ),
    ("norm",): "use nn.BatchNorm2d after a convolution, which is folded into it, or none",
    ("attention", "softmax", "matmul", "linear", "einsum"): (
        "build from convolutions, products, and means over the picture"
    ),
    ("pool",): "use nn.AvgPool2d, nn.MaxPool2d or nn.AdaptiveAvgPool2d(1)",
    ("unbind",): "use torch.split or torch.chunk",
    ("view", "reshape", "permute", "transpose", "flatten", "unshuffle"): (
        "use nn.PixelShuffle, the only change of layout that NPUs run well"
    ),
    ("pad",): "pad with zeros, reflected, or one replicated pixel",
    ("getattr", "size", "shape"): "choose in the constructor what depends on the image's size",
    ("elu", "mish", "softplus", "softsign", "logsigmoid", "shrink", "threshold"): (
        "use nn.ReLU, ClippedReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU or nn.Hardswish"
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
        self._tensors: dict[fx.Node, Result] = {}

    def bind(self, node: fx.Node, result: Result) -> None:
        """Remember which node of the graph an operator's output is."""
        self._tensors[node] = result

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
                "use convolutions, common activations, arithmetic, concatenation and "
                "nn.PixelShuffle",
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

    def is_tensor(self, value: object) -> bool:
        """Whether an operand is a feature map, and no constant."""
        return isinstance(value, fx.Node) and value.op != "get_attr"

    def tensor(self, node: fx.Node, value: object) -> str:
        """Name of the graph's node behind an operand of ``node``."""
        name = self._tensors.get(value) if isinstance(value, fx.Node) else None
        if isinstance(name, str):
            return name
        if isinstance(name, tuple):
            raise self.refusal(node, f"its operand {value} is a list of tensors; pick one")
        raise self.refusal(node, f"its operand {value} is no feature map")

    def parts(self, value: object) -> tuple[str, ...]:
        """Names of the parts that a split made; none for anything else."""
        names = self._tensors.get(value) if isinstance(value, fx.Node) else None
        return names if isinstance(names, tuple) else ()

    def constant(self, node: fx.Node, value: object) -> Constant:
        """A number, or a parameter or buffer of the network as it is now.

        Raises:
            UnsupportedOperator: If it is neither.
        """
        if isinstance(value, fx.Node) and value.op == "get_attr":
            path = str(value.target).split(".")

            def live() -> Tensor:
                found = reduce(getattr, path, self.modules[""])
                assert isinstance(found, Tensor)
                return found

            return live
        number = torch.tensor(self.number(node, value), dtype=torch.float64)
        return lambda: number

    def number(self, node: fx.Node, value: object) -> float:
        """A number.

        Raises:
            UnsupportedOperator: If it is none.
        """
        if isinstance(value, int | float):
            return float(value)
        raise self.refusal(node, f"its operand {value} is no number")

    def per_channel(self, node: fx.Node, value: Constant | float, channels: int) -> Constant:
        """A constant as ``(C,)``.

        Raises:
            UnsupportedOperator: If it is neither one number nor one for each channel.
        """
        constant = value if callable(value) else self.constant(node, value)
        shape = tuple(constant().shape)
        scalar = constant().numel() == 1
        if not scalar and shape not in ((channels, 1, 1), (1, channels, 1, 1)):
            raise self.refusal(
                node,
                f"its constant has the shape {shape}; use (1, {channels}, 1, 1), or one number",
            )
        return lambda: constant().reshape(-1).expand(channels)

    def channels(self, name: str) -> int:
        """Channels of a node's tensor."""
        return self.nodes[name].channels

    def unary(self, node: fx.Node) -> tuple[str, int]:
        """Name and channels of the first operand."""
        name = self.tensor(node, node.args[0])
        return name, self.channels(name)

    def gather(self, source: str, index: tuple[int, ...], name: str) -> str:
        """Add a choice of channels."""
        return self.put(Gather(name=name, inputs=(source,), channels=len(index), index=index))

    def mean(self, source: str, name: str) -> str:
        """Add the mean over the picture, or find the one that is there."""
        for node in self.nodes.values():
            if isinstance(node, Mean) and node.inputs == (source,):
                return node.name
        return self.put(Mean(name=name, inputs=(source,), channels=self.channels(source)))

    def pad(
        self, node: fx.Node, source: str, padding: tuple[int, int, int, int], mode: str, name: str
    ) -> str:
        """Add pixels at top, bottom, left, right; ``mode`` is one of ``nn.Conv2d``'s."""
        if mode == "replicate" and max(padding) > 1:
            raise self.refusal(node, "only one pixel can be replicated; reflect more")
        modes: Mapping[str, Any] = {
            "zeros": "zero",
            "reflect": "reflect",
            "replicate": "symmetric",  # the same for one pixel
        }
        if mode not in modes:
            raise self.refusal(node, f"padding_mode={mode}; use zeros, reflect or replicate")
        return self.put(
            Pad(
                name=name,
                inputs=(source,),
                channels=self.channels(source),
                padding=padding,
                mode=modes[mode],
            )
        )

    def conv(
        self,
        node: fx.Node,
        kernel: Kernel,
        padding: tuple[int, int, int, int] | None = None,
        groups: int = 1,
        stride: int = 1,
        dilation: int = 1,
        *,
        source: str = "",
        name: str = "",
    ) -> str:
        """Add a convolution; without ``padding`` its output is as large as its input."""
        source = source or self.unary(node)[0]
        channels = self.channels(source)
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
                dilation=dilation,
                padding=padding,
            )
        )

    def clip(self, node: fx.Node, bounds: Bounds, source: str = "", name: str = "") -> str:
        """Add a clip."""
        source, name = source or self.unary(node)[0], name or self.name(node)
        channels = self.channels(source)
        return self.put(Clip(name=name, inputs=(source,), channels=channels, bounds=bounds))

    def affine(
        self, node: fx.Node, source: str, factor: Constant, offset: Constant, name: str = ""
    ) -> str:
        """Add a factor and an offset for each channel."""
        return self.put(
            Affine(
                name=name or self.name(node),
                inputs=(source,),
                channels=self.channels(source),
                factor=factor,
                offset=offset,
            )
        )

    def repeated_pixels(self, node: fx.Node, factor: int) -> str:
        """Add an enlargement by repeated pixels: channels in a row, then depth-to-space."""
        source, channels = self.unary(node)
        name = self.name(node)
        repeated = self.gather(source, tuple(range(channels)) * factor**2, f"{name}.repeat")
        return self.put(
            DepthToSpace(name=name, inputs=(repeated,), channels=channels, block=factor)
        )

    def shuffle(self, node: fx.Node, block: int) -> str:
        """Add a pixel shuffle: a reordering, then TensorFlow's depth-to-space."""
        source, channels = self.unary(node)
        name = self.name(node)
        colours, rest = divmod(channels, block * block)
        if rest:
            raise self.refusal(node, f"{channels} channels are no multiple of {block * block}")
        index = tuple(pixel_shuffle_to_dcr(colours, block).tolist())
        order = self.gather(source, index, f"{name}.order")
        return self.put(DepthToSpace(name=name, inputs=(order,), channels=colours, block=block))
