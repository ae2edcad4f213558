"""Start a network from trained weights of another scale.

Most of a super-resolution network works at low resolution and does not know the scale: SESR's
x4 network is fine-tuned from its x2 one (arXiv:2203.07961, 4). Only layers whose shape follows
from the scale begin anew.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sr_experiments.errors import UserError
from sr_experiments.models.base import SRModel
from sr_experiments.models.io import SavedModel


@dataclass(frozen=True)
class Transfer:
    """What a network took over.

    Attributes:
        scales: Of the saved network and of this one.
        copied: Tensors that were copied, by name.
        fresh: Tensors that were not, with their shape here.
        values: Numbers copied.
    """

    scales: tuple[int, int]
    copied: tuple[str, ...]
    fresh: dict[str, tuple[int, ...]]
    values: int

    def __str__(self) -> str:
        """In a line or two, for the terminal."""
        said = f"copied {len(self.copied)} tensors ({self.values:,} values)"
        if self.scales[0] != self.scales[1]:
            said += f" of the x{self.scales[0]} network into x{self.scales[1]}"
        if not self.fresh:
            return f"{said}; nothing starts anew"
        layers = ", ".join(f"{name} {shape}" for name, shape in self.fresh.items())
        return f"{said}\n  not copied, they start anew: {layers}"


def transfer(network: SRModel, saved: SavedModel) -> Transfer:
    """Copy trained weights into ``network``, which may have another scale.

    Args:
        network: Changed in place.
        saved: The same network; but for the scale, every shape must agree.

    Raises:
        UserError: It is another network.
    """
    scale = int(saved.config.get("scale", network.scale))
    name = str(saved.config["_target_"]).rpartition(".")[2]
    if name != type(network).__name__:
        raise UserError(f"{saved.where} holds {name}, not {type(network).__name__}")
    here = {key: value.shape for key, value in network.state_dict().items()}
    there = {key: value.shape for key, value in saved.tensors.items()}
    if scale != network.scale:  # would it fit, but for the scale?
        rescaled = {**saved.config, "scale": network.scale}
        twin = SavedModel(rescaled, saved.collapsed, saved.tensors, saved.where).empty()
        there = {key: value.shape for key, value in twin.state_dict().items()}
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            hint = f"give the options that it was trained with: {_options(saved.config)}"
            if saved.collapsed and not network.collapsed:
                hint = "it is folded: name its run folder, or fold this one (collapse: true)"
            raise UserError(
                f"{saved.where} holds another {name}: {key} is {_shape(there.get(key))} there and "
                f"{_shape(here.get(key))} here; {hint}"
            )
    copied = {key: value for key, value in saved.tensors.items() if here.get(key) == value.shape}
    network.load_state_dict(copied, strict=False)
    fresh = {key: tuple(shape) for key, shape in here.items() if key not in copied}
    network.fresh, network.quantized = bool(fresh), saved.quantized
    return Transfer(
        (scale, network.scale),
        tuple(copied),
        fresh,
        sum(value.numel() for value in copied.values()),
    )


def _options(config: Mapping[str, Any]) -> str:
    """As they are typed."""
    return " ".join(
        f"model.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in config.items()
        if key not in ("_target_", "scale")
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(tuple(shape))
